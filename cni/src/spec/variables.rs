//! The `CNI_*` variables as they come, and the rules for what stands in them.

use std::env;

use super::CniError;

/// The variables by which a runtime calls a plugin. A value that is no UTF-8 counts as not set.
#[derive(Clone, Default, Debug)]
pub struct Variables {
    /// `CNI_COMMAND`.
    pub command: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container: Option<String>,
    /// `CNI_NETNS`.
    pub netns: Option<String>,
    /// `CNI_IFNAME`.
    pub ifname: Option<String>,
    /// `CNI_ARGS`.
    pub args: Option<String>,
}

impl Variables {
    /// Those that this process was started with. One that is empty counts as not set.
    pub fn of_this_process() -> Variables {
        let value = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Variables {
            command: value("CNI_COMMAND"),
            container: value("CNI_CONTAINERID"),
            netns: value("CNI_NETNS"),
            ifname: value("CNI_IFNAME"),
            args: value("CNI_ARGS"),
        }
    }
}

/// A value, or the error that it is missing.
pub(super) fn needed<'a>(
    name: &'static str,
    value: &'a Option<String>,
) -> Result<&'a str, CniError> {
    value
        .as_deref()
        .ok_or_else(|| invalid(name, "", "the runtime has to set it"))
}

/// An identifier of the specification: it starts with a letter or digit and goes on with those, `_`, `.` and `-`. So it
/// names no other directory.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// An interface name that Linux takes as it stands (`dev_valid_name()`; a `%` makes it a pattern), and that is no
/// directory of all interfaces below /proc/sys.
pub(super) fn ifname(text: &str) -> Result<&str, CniError> {
    let why = if text.len() > 15 {
        "an interface name has at most 15 bytes"
    } else if [".", "..", "all", "default"].contains(&text) {
        "the kernel has another use for this name"
    } else if text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "/:%".contains(c))
    {
        "an interface name has no '/', ':', '%', blank or control character"
    } else {
        return Ok(text);
    };
    Err(invalid("CNI_IFNAME", text, why))
}

/// `KEY=VALUE` pairs with semicolons between them.
pub(super) fn pairs(text: &str) -> Result<Vec<(&str, &str)>, CniError> {
    let pairs = text.split(';').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            pair.split_once('=')
                .ok_or_else(|| invalid("CNI_ARGS", text, "expected KEY=VALUE;KEY=VALUE"))
        })
        .collect()
}

/// The error about a variable.
pub(super) fn invalid(name: &'static str, value: &str, why: &str) -> CniError {
    CniError::Variable {
        name,
        value: value.chars().take(200).collect(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_lead_nowhere_else() {
        for good in ["a", "0123abc", "web-1_x.y", "A"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in [
            "", ".", "..", "../x", "a/b", "-a", "_a", "a b", "a\0", "a:b", "ä",
        ] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }

    #[test]
    fn interface_names_are_those_that_linux_takes_as_they_stand() {
        for good in ["eth0", "net1", "a.b-c_d", "sixteen-less-1x"] {
            assert!(ifname(good).is_ok(), "{good}");
        }
        for bad in [
            ".",
            "..",
            "all",
            "default",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "eth%d",
            "sixteen-and-more",
        ] {
            assert!(ifname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_without_a_value_are_refused_and_empty_ones_passed_over() {
        assert_eq!(pairs("A=1;;B=x=y;").unwrap(), [("A", "1"), ("B", "x=y")]);
        assert!(pairs("A=1;B").is_err());
    }
}
