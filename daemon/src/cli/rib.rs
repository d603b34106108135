//! `twill show rib`.

use std::net::IpAddr;

use bgp::Prefix;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{self, Config};
use crate::control::{OfRib, Side, Topic, ask_daemon};
use crate::inspect::{Columns, Explained, Page, Table, Told, ToldRow, UsedRow};

use super::args::Show;
use super::show::as_json;
use super::{Outcome, no_daemon, print};

/// All prefixes, written as they come: neither the daemon nor this program ever has the whole table in one piece.
pub(super) fn all(show: &Show) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(&show.flags)?;
    match side(show) {
        Side::Used => pages::<UsedRow>(&config, show),
        Side::In(_) | Side::Out(_) => pages::<ToldRow>(&config, show),
    }
}

/// All about one prefix.
pub(super) fn one(config: &Config, show: &Show, prefix: &str) -> anyhow::Result<(String, Outcome)> {
    let side = side(show);
    let is_out = matches!(side, Side::Out(_));
    let of = OfRib {
        side,
        prefix: Some(read(prefix)?.to_string()),
        after: None,
    };
    let Some(text) = ask_daemon(&config.run_dir, &Topic::Rib(of))? else {
        return Ok((String::new(), no_daemon(config)));
    };
    let (said, known) = if is_out {
        let told: Told = serde_json::from_str(&text)?;
        let text = if show.json {
            as_json(&told)?
        } else {
            told.text()
        };
        (text, told.prefix.is_some())
    } else {
        let explained: Explained = serde_json::from_str(&text)?;
        let text = if show.json {
            as_json(&explained)?
        } else {
            explained.text()
        };
        (text, explained.prefix.is_some())
    };
    let outcome = if known { Outcome::Fine } else { Outcome::NotSo };
    Ok((said, outcome))
}

fn side(show: &Show) -> Side {
    match (&show.from, &show.to) {
        (Some(peer), _) => Side::In(peer.clone()),
        (_, Some(peer)) => Side::Out(peer.clone()),
        _ => Side::Used,
    }
}

/// A prefix, or an address, which is as good as the prefix of just it.
fn read(text: &str) -> anyhow::Result<Prefix> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Prefix::host(address));
    }
    let parts = text.split_once('/');
    let prefix = parts
        .and_then(|(address, length)| Prefix::new(address.parse().ok()?, length.parse().ok()?));
    prefix.ok_or_else(|| {
        anyhow::anyhow!("{text:?} is neither a prefix, such as 10.244.1.0/24, nor an address")
    })
}

fn pages<R: Columns + Serialize + DeserializeOwned>(
    config: &Config,
    show: &Show,
) -> anyhow::Result<Outcome> {
    let mut table = Table::default();
    let mut between = "[\n";
    let mut after = None;
    loop {
        let of = OfRib {
            side: side(show),
            prefix: None,
            after,
        };
        let Some(text) = ask_daemon(&config.run_dir, &Topic::Rib(of))? else {
            return Ok(no_daemon(config));
        };
        let page: Page<R> = serde_json::from_str(&text)?;
        if show.json {
            let mut text = String::new();
            for row in &page.rows {
                text += between;
                text += &serde_json::to_string(row)?;
                between = ",\n";
            }
            print(&text)?;
        } else {
            print(&table.text(&page.rows))?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if show.json {
        let end = if between == "[\n" { "[]\n" } else { "\n]\n" };
        print(end)?;
    }
    Ok(Outcome::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_as_good_as_a_prefix_and_bits_behind_the_length_do_not_matter() {
        for (text, prefix) in [
            ("10.244.1.7", "10.244.1.7/32"),
            ("10.244.1.7/24", "10.244.1.0/24"),
            ("::1", "::1/128"),
            ("fd00::/64", "fd00::/64"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), prefix);
        }
        for text in ["", "tor-a", "10.0.0.0/33", "10.0.0/8"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
