//! The names of flannel's annotations on a Node.

/// What a node's daemon writes; the daemon of that node is the only writer.
pub(super) const MANAGED: &str = "kube-subnet-manager";
pub(super) const BACKEND: &str = "backend-type";
pub(super) const DATA: &str = "backend-data";
pub(super) const DATA_V6: &str = "backend-v6-data";
pub(super) const UNDERLAY: &str = "public-ip";
pub(super) const UNDERLAY_V6: &str = "public-ipv6";

/// All of these.
pub(super) const WRITTEN: [&str; 6] = [MANAGED, BACKEND, DATA, DATA_V6, UNDERLAY, UNDERLAY_V6];

/// What an operator writes: the address that other nodes are told.
pub(super) const OVERWRITE: &str = "public-ip-overwrite";
pub(super) const OVERWRITE_V6: &str = "public-ipv6-overwrite";

/// Whether a name is one of those, whatever it begins with.
pub(super) fn is_of_a_network(name: &str) -> bool {
    let mut all = WRITTEN.iter().chain(&[OVERWRITE, OVERWRITE_V6]);
    all.any(|which| name.ends_with(which))
}

/// The annotations that one pod network goes by: all names begin with one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotations {
    prefix: String,
}

/// A prefix with which no annotation can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{prefix:?} is no prefix of annotations: want a domain in lower case, and behind a slash a name if there are several networks (flannel.alpha.coreos.com, example.org/blue)"
)]
pub struct BadPrefix {
    /// As it was given.
    pub prefix: String,
}

impl Annotations {
    /// The names with this prefix (flannel's `--kube-annotation-prefix`): `example.org` makes `example.org/public-ip`,
    /// `example.org/blue` makes `example.org/blue-public-ip`.
    pub fn new(prefix: &str) -> Result<Annotations, BadPrefix> {
        let (domain, name) = prefix.split_once('/').unwrap_or((prefix, ""));
        let name = name.strip_suffix('-').unwrap_or(name);
        let labels: Vec<&str> = domain.split('.').collect();
        if labels.len() < 2
            || !labels.into_iter().all(is_word)
            || !(name.is_empty() || is_word(name))
        {
            let prefix = prefix.to_owned();
            return Err(BadPrefix { prefix });
        }
        let dash = if name.is_empty() { "" } else { "-" };
        let prefix = format!("{domain}/{name}{dash}");
        Ok(Annotations { prefix })
    }

    /// The whole name of one annotation.
    pub(super) fn name(&self, which: &str) -> String {
        format!("{}{which}", self.prefix)
    }
}

impl Default for Annotations {
    /// flannel's own.
    fn default() -> Annotations {
        let prefix = "flannel.alpha.coreos.com/".to_owned();
        Annotations { prefix }
    }
}

fn is_word(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(prefix: &str) -> String {
        Annotations::new(prefix).expect(prefix).name(UNDERLAY)
    }

    #[test]
    fn a_prefix_makes_the_names_that_flannel_makes() {
        assert_eq!(
            name("flannel.alpha.coreos.com"),
            "flannel.alpha.coreos.com/public-ip"
        );
        assert_eq!(name("example.org/"), "example.org/public-ip");
        assert_eq!(name("example.org/blue"), "example.org/blue-public-ip");
        assert_eq!(name("example.org/blue-"), "example.org/blue-public-ip");
        let default = Annotations::new("flannel.alpha.coreos.com");
        assert_eq!(default, Ok(Annotations::default()));
    }

    #[test]
    fn what_makes_no_annotation_is_refused() {
        for prefix in [
            "",
            "/",
            "example",
            "a..b",
            "Example.org",
            "a.b/c/d",
            "a.b/c d",
            "a.b/-é",
        ] {
            assert!(Annotations::new(prefix).is_err(), "{prefix}");
        }
    }
}
