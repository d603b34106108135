//! One call of the plugin: variables and network config, judged.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::attachment::{Attachment, Mac};

use super::config::{self, Config};
use super::variables::{ifname, invalid, is_identifier, needed, pairs};
use super::{CniError, Variables, Version};

/// The kernel's limit of an ifalias, without its terminator (`IFALIASZ`).
const ALIAS: usize = 255;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// A command with all that it is about.
#[derive(Debug)]
pub struct Request {
    pub(crate) version: Version,
    pub(crate) config: Config,
    pub(crate) deed: Deed,
}

/// A command with its attachment, where it is about one.
#[derive(Debug)]
pub(crate) enum Deed {
    Add(Place, Wishes),
    Del(Attachment),
    Check(Place),
    Gc,
    Status,
}

/// An attachment and the namespace that it is in.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) attachment: Attachment,
    pub(crate) netns: PathBuf,
}

/// What the runtime wishes for a new attachment.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// At most one address of each family.
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) mac: Option<Mac>,
    /// Whose link it is, for people: `namespace/pod`, or the container.
    pub(crate) alias: String,
}

impl Command {
    /// As it stands in `CNI_COMMAND`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Command::Add => "ADD",
            Command::Del => "DEL",
            Command::Check => "CHECK",
            Command::Gc => "GC",
            Command::Status => "STATUS",
            Command::Version => "VERSION",
        }
    }

    /// The command of a call.
    pub(crate) fn of(variables: &Variables) -> Result<Command, CniError> {
        use Command::*;
        let text = needed("CNI_COMMAND", &variables.command)?;
        let known = [Add, Del, Check, Gc, Status, Version].into_iter();
        let mut matching = known.filter(|command| command.text() == text);
        matching.next().ok_or_else(|| {
            let why = "expected ADD, DEL, CHECK, GC, STATUS or VERSION";
            invalid("CNI_COMMAND", text, why)
        })
    }
}

/// The version that a config says, as text.
pub(crate) fn version_text(input: &[u8]) -> Result<String, CniError> {
    config::version_of(input)
}

impl Request {
    /// Reads a call of any command but VERSION.
    pub(crate) fn read(
        command: Command,
        variables: &Variables,
        input: &[u8],
    ) -> Result<Request, CniError> {
        let version = Version::parse(&config::version_of(input)?)?;
        version.knows(command)?;
        let config = Config::read(input, version)?;
        let deed = match command {
            Command::Add => Deed::Add(place(variables, &config)?, wishes(variables, &config)?),
            Command::Check => Deed::Check(place(variables, &config)?),
            Command::Del => Deed::Del(attachment(variables, &config)?),
            Command::Gc => Deed::Gc,
            Command::Status | Command::Version => Deed::Status,
        };
        Ok(Request {
            version,
            config,
            deed,
        })
    }
}

fn place(variables: &Variables, config: &Config) -> Result<Place, CniError> {
    let attachment = attachment(variables, config)?;
    let netns = needed("CNI_NETNS", &variables.netns)?;
    if !Path::new(netns).is_absolute() {
        return Err(invalid("CNI_NETNS", netns, "expected an absolute path"));
    }
    Ok(Place {
        attachment,
        netns: netns.into(),
    })
}

fn attachment(variables: &Variables, config: &Config) -> Result<Attachment, CniError> {
    let container = needed("CNI_CONTAINERID", &variables.container)?;
    if !is_identifier(container) {
        let why = "expected letters, digits, '_', '.' and '-', a letter or digit first";
        return Err(invalid("CNI_CONTAINERID", container, why));
    }
    let attachment = Attachment {
        network: config.name.clone(),
        container: container.into(),
        ifname: ifname(needed("CNI_IFNAME", &variables.ifname)?)?.into(),
    };
    if !attachment.is_short_enough() {
        let why = "together with the network's name it has more than 170 bytes";
        return Err(invalid("CNI_CONTAINERID", container, why));
    }
    Ok(attachment)
}

fn wishes(variables: &Variables, config: &Config) -> Result<Wishes, CniError> {
    let pairs = pairs(variables.args.as_deref().unwrap_or_default())?;
    let arg = |key: &str| {
        pairs
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, value)| *value)
    };
    let mut ips = config.requested_ips()?;
    if ips.is_empty() {
        // CONVENTIONS.md: who understands `args` ignores the same in CNI_ARGS.
        ips = arg("IP")
            .map(config::address)
            .transpose()?
            .into_iter()
            .collect();
    }
    let one_of_each = match ips[..] {
        [] | [_] => true,
        [a, b] => a.is_ipv4() != b.is_ipv4(),
        _ => false,
    };
    if !one_of_each {
        return Err(CniError::Config(format!(
            "{} addresses are requested: a pod has at most one of each family",
            ips.len()
        )));
    }
    let alias = match (arg("K8S_POD_NAMESPACE"), arg("K8S_POD_NAME")) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod}"),
        _ => variables.container.clone().unwrap_or_default(),
    };
    Ok(Wishes {
        ips,
        mac: config.requested_mac()?,
        alias: printable(&alias),
    })
}

fn printable(text: &str) -> String {
    let safe = text
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '?' });
    safe.take(ALIAS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &[u8] = br#"{"cniVersion":"1.1.0","name":"cbr0","type":"twill-cni"}"#;

    fn variables() -> Variables {
        Variables {
            command: Some("ADD".into()),
            container: Some("0123".into()),
            netns: Some("/run/netns/a".into()),
            ifname: Some("eth0".into()),
            args: None,
        }
    }

    fn code(variables: &Variables, config: &str) -> u32 {
        let read = Command::of(variables)
            .and_then(|command| Request::read(command, variables, config.as_bytes()));
        read.map_or_else(|error| error.code(), |_| 0)
    }

    fn wished(args: &str, more: &str) -> Result<Wishes, CniError> {
        let config = format!(r#"{{"cniVersion":"1.1.0","name":"cbr0"{more}}}"#);
        let variables = Variables {
            args: Some(args.into()),
            ..variables()
        };
        match Request::read(Command::Add, &variables, config.as_bytes())?.deed {
            Deed::Add(_, wishes) => Ok(wishes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_needs_its_variables_and_each_is_named() {
        let config = std::str::from_utf8(CONFIG).unwrap();
        assert_eq!(code(&variables(), config), 0);
        let wrong: [fn(&mut Variables); 8] = [
            |v| v.command = None,
            |v| v.command = Some("add".into()),
            |v| v.container = None,
            |v| v.container = Some("../../etc".into()),
            |v| v.netns = None,
            |v| v.netns = Some("run/netns/a".into()),
            |v| v.ifname = Some("a/b".into()),
            |v| v.args = Some("K8S".into()),
        ];
        for change in wrong {
            let mut variables = variables();
            change(&mut variables);
            assert_eq!(code(&variables, config), 4, "{variables:?}");
        }
    }

    #[test]
    fn del_needs_no_namespace() {
        let variables = Variables {
            command: Some("DEL".into()),
            netns: None,
            ..variables()
        };
        assert_eq!(code(&variables, std::str::from_utf8(CONFIG).unwrap()), 0);
    }

    #[test]
    fn configs_that_cannot_be_served_have_the_code_of_their_fault() {
        for (config, want) in [
            ("", 6),
            ("[]", 6),
            (r#"{"name":"a"}"#, 1),
            (r#"{"cniVersion":"0.2.0","name":"a"}"#, 1),
            (r#"{"cniVersion":"2.0.0","name":"a"}"#, 1),
            (r#"{"cniVersion":"1.1.0"}"#, 7),
            (r#"{"cniVersion":"1.1.0","name":"../a"}"#, 7),
            (r#"{"cniVersion":"1.1.0","name":"a","mtu":10}"#, 7),
            (r#"{"cniVersion":"1.1.0","name":"a","mtu":"x"}"#, 6),
            (
                r#"{"cniVersion":"1.1.0","name":"a","ipam":{"type":"host-local"}}"#,
                2,
            ),
            (r#"{"cniVersion":"1.1.0","name":"a","ipMasq":true}"#, 2),
            (
                r#"{"cniVersion":"1.1.0","name":"a","args":{"cni":{"ips":["x"]}}}"#,
                7,
            ),
            (
                r#"{"cniVersion":"1.1.0","name":"a","runtimeConfig":{"mac":"01:00:00:00:00:01"}}"#,
                7,
            ),
            (
                r#"{"cniVersion":"0.3.1","name":"a","args":null,"runtimeConfig":null,"ipam":null}"#,
                0,
            ),
        ] {
            assert_eq!(code(&variables(), config), want, "{config}");
        }
    }

    #[test]
    fn a_command_is_refused_in_versions_that_lack_it() {
        for (command, first) in [("CHECK", 1), ("GC", 3), ("STATUS", 3)] {
            let variables = Variables {
                command: Some(command.into()),
                ..variables()
            };
            for (age, version) in Version::ALL.iter().enumerate() {
                let config = format!(r#"{{"cniVersion":"{}","name":"a"}}"#, version.text());
                let want = u32::from(age < first);
                assert_eq!(code(&variables, &config), want, "{command} {version:?}");
            }
        }
    }

    #[test]
    fn args_win_over_cni_args_and_lengths_are_passed_over() {
        let both = r#","args":{"cni":{"ips":["10.1.0.9/24","fd00::9"]}}"#;
        let ips = wished("IP=10.1.0.8", both).unwrap().ips;
        assert_eq!(
            ips,
            [
                "10.1.0.9".parse::<IpAddr>().unwrap(),
                "fd00::9".parse().unwrap()
            ]
        );
        assert_eq!(wished("IP=10.1.0.8/24", "").unwrap().ips.len(), 1);
        let two = r#","args":{"cni":{"ips":["10.1.0.9","10.1.0.8"]}}"#;
        assert_eq!(wished("", two).unwrap_err().code(), 7);
    }

    #[test]
    fn the_alias_is_the_pods_name_without_what_a_terminal_would_obey() {
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web\u{1b}[0m";
        assert_eq!(wished(args, "").unwrap().alias, "shop/web?[0m");
        assert_eq!(wished("", "").unwrap().alias, "0123");
    }

    #[test]
    fn a_list_of_valid_attachments_may_be_empty_but_not_missing() {
        let read = |more: &str| {
            let config = format!(r#"{{"cniVersion":"1.1.0","name":"a"{more}}}"#);
            Request::read(Command::Gc, &Variables::default(), config.as_bytes()).unwrap()
        };
        assert_eq!(read("").config.valid_attachments, None);
        for (key, empty) in [
            ("valid-attachments", "null"),
            ("valid-attachments", "[]"),
            ("attachments", "[]"),
        ] {
            let more = format!(r#","cni.dev/{key}":{empty}"#);
            assert_eq!(read(&more).config.valid_attachments, Some(vec![]));
        }
    }
}
