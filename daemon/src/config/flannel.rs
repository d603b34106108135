//! flanneld's own command line: flags with one dash, and flags that mean nothing to us.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command};

/// Flags of flanneld that we accept and leave alone, and whether each takes a value (else it is on
/// or off).
const IGNORED: &[(&str, bool)] = &[
    ("charon-executable-path", true),
    ("charon-viciuri-path", true),
    ("ip-blackhole-route", false),
    ("iptables-resync", true),
    ("kube-api-url", true),
    ("log_backtrace_at", true),
    ("set-node-network-unavailable", false),
    ("subnet-lease-renew-margin", true),
    ("v", true),
    ("vmodule", true),
];

/// The names of flanneld's flags that we accept and leave alone.
pub(super) fn ignored() -> impl Iterator<Item = &'static str> {
    IGNORED.iter().map(|(name, _)| *name)
}

/// Adds those flags, hidden from help.
pub(super) fn augment(command: Command) -> Command {
    command.args(IGNORED.iter().map(|&(name, takes_value)| {
        let flag = Arg::new(name)
            .long(name)
            .hide(true)
            .action(ArgAction::Append)
            .allow_hyphen_values(takes_value);
        let flag = if name == "v" { flag.short('v') } else { flag };
        if takes_value {
            flag
        } else {
            flag.num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
        }
    }))
}

/// Gives flags with one dash their second one (`-etcd-prefix=/a`), and drops flags whose value is
/// empty (`--public-ip=`), which is how flannel's unit files say "not given". `known` are the names
/// of the flags that may be written so.
pub(super) fn to_our_flags(words: impl Iterator<Item = OsString>, known: &[&str]) -> Vec<OsString> {
    let mut words = words.peekable();
    let mut ours = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            ours.push(word);
            break;
        }
        match flag(&word, known) {
            Some((_, Some(b""))) => {}
            Some((_, None)) if words.next_if(|next| next.is_empty()).is_some() => {}
            Some((body, _)) => ours.push(OsString::from_vec([b"--", body].concat())),
            None => ours.push(word),
        }
    }
    ours.extend(words);
    ours
}

/// A known flag without its dashes, and the value that stands in the same word.
fn flag<'a>(word: &'a OsStr, known: &[&str]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let body = match word.as_bytes() {
        [b'-', b'-', body @ ..] | [b'-', body @ ..] => body,
        _ => return None,
    };
    let mut parts = body.splitn(2, |&byte| byte == b'=');
    let name = parts.next()?;
    known
        .iter()
        .any(|known| known.as_bytes() == name)
        .then_some((body, parts.next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = to_our_flags(words, &["iface", "etcd-prefix", "v"]);
        words
            .into_iter()
            .map(|word| word.into_string().expect("text"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn one_dash_becomes_two() {
        assert_eq!(
            rewritten("run -iface=eth0 -iface eth1 --etcd-prefix=/a"),
            "run --iface=eth0 --iface eth1 --etcd-prefix=/a"
        );
        assert_eq!(rewritten("-v=4 -v 4"), "--v=4 --v 4");
    }

    #[test]
    fn what_is_no_flag_of_ours_stays_as_it_is() {
        assert_eq!(
            rewritten("run -h -V -ifaces=a - eth0"),
            "run -h -V -ifaces=a - eth0"
        );
        assert_eq!(rewritten("run -- -iface=eth0"), "run -- -iface=eth0");
    }

    #[test]
    fn a_flag_with_an_empty_value_is_not_given() {
        assert_eq!(rewritten("run --iface= -etcd-prefix= -v=1"), "run --v=1");
        assert_eq!(rewritten("run --iface  --v=1 -iface "), "run --v=1");
    }
}
