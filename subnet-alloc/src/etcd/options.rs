//! How to reach etcd: what the operator says, checked before anything is sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::store::StoreError;

/// How to reach etcd. Without certificates and user it is plain HTTP/2.
#[derive(Clone, Default)]
pub struct EtcdOptions {
    /// `http://host:2379`, `https://host:2379`, or `host:2379` (https when a CA is given); tried in this order.
    pub endpoints: Vec<String>,
    /// Everything is below this, for example `/coreos.com/network`.
    pub prefix: String,
    /// The certificate authority that signed the servers' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// The client's certificate, PEM; with `key`.
    pub cert: Option<PathBuf>,
    /// The client's private key, PEM; with `cert`.
    pub key: Option<PathBuf>,
    /// etcd user; with `password`.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The file whose first line is the password; it counts more than `password`.
    pub password_file: Option<PathBuf>,
}

/// Without the password.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("username", &self.username)
            .field("password_file", &self.password_file)
            .finish_non_exhaustive()
    }
}

/// Time for the TCP and TLS handshake with one endpoint. TCP asks after 0 s, 1 s and 3 s: a third time would come too
/// late for who has just come back, a new attempt does not.
const CONNECT: Duration = Duration::from_secs(2);
/// etcd tells clients off (GOAWAY, too_many_pings) that ping more often than every 5 s, and those that ping without
/// an open stream at all; its `--grpc-keepalive-min-time` and gRPC's enforcement policy.
const PING_EVERY: Duration = Duration::from_secs(6);
/// A ping without an answer for this long ends the connection.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// So a connection that is in use lives at most this long after the last word of the other side.
pub(super) const SILENCE: Duration = PING_EVERY.saturating_add(PING_TIMEOUT);

impl EtcdOptions {
    /// The endpoints as URLs.
    pub(super) fn urls(&self) -> Result<Vec<String>, StoreError> {
        if self.endpoints.is_empty() {
            return Err(wrong(
                "endpoints",
                "none given; give at least one, such as http://127.0.0.1:2379",
            ));
        }
        self.endpoints
            .iter()
            .map(|endpoint| self.url(endpoint.trim()))
            .collect()
    }

    /// The files that say who we are and whom we trust.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.ca, &self.cert, &self.key, &self.password_file];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    /// What every connection has in common. Reads the files.
    pub(super) fn connect_options(&self) -> Result<ConnectOptions, StoreError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING_EVERY, PING_TIMEOUT)
            .with_keep_alive_while_idle(false)
            .with_auto_token_refresh(true)
            .with_require_leader(true);
        let options = match (&self.username, self.password()?) {
            (Some(user), Some(password)) => options.with_user(user, password),
            (None, None) => options,
            (Some(user), None) => {
                return Err(wrong(
                    "username",
                    &format!("{user:?} is given without a password"),
                ));
            }
            (None, Some(_)) => return Err(wrong("password", "it is given without a username")),
        };
        Ok(match self.tls()? {
            Some(tls) => options.with_tls(tls),
            None => options,
        })
    }

    fn password(&self) -> Result<Option<String>, StoreError> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|why| unreadable(path, "password", &why))?;
        match text.lines().next() {
            Some(first) if !first.is_empty() => Ok(Some(first.to_owned())),
            _ => Err(wrong_file(
                path,
                "its first line is to be the password, and is empty",
            )),
        }
    }

    fn url(&self, endpoint: &str) -> Result<String, StoreError> {
        if endpoint.contains('@') {
            return Err(wrong(
                "endpoints",
                "an endpoint must not contain '@'; give user and password as options of their own",
            ));
        }
        let has_tls = self.ca.is_some() || self.cert.is_some();
        match endpoint.split_once("://") {
            Some(("http", _)) if has_tls => Err(wrong(
                endpoint,
                "it is plain http, and a CA or certificate is given; write https:// or leave the certificates out",
            )),
            Some(("https", _)) if self.ca.is_none() => Err(wrong(
                endpoint,
                "https needs the file of the certificate authority that signed its certificate; none is given",
            )),
            Some(("http" | "https", rest)) if !rest.is_empty() => {
                Ok(endpoint.trim_end_matches('/').to_owned())
            }
            None if !endpoint.is_empty() && self.ca.is_some() => Ok(format!("https://{endpoint}")),
            None if !endpoint.is_empty() => Ok(format!("http://{endpoint}")),
            _ => Err(wrong(
                &format!("endpoints: {endpoint:?}"),
                "it is no http:// or https:// URL",
            )),
        }
    }

    pub(super) fn tls(&self) -> Result<Option<TlsOptions>, StoreError> {
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(Identity::from_pem(
                pem(cert, "CERTIFICATE")?,
                pem(key, "PRIVATE KEY")?,
            )),
            (None, None) => None,
            (Some(cert), None) => {
                return Err(wrong_file(
                    cert,
                    "a client certificate needs its private key; none is given",
                ));
            }
            (None, Some(key)) => {
                return Err(wrong_file(
                    key,
                    "a private key needs its client certificate; none is given",
                ));
            }
        };
        let Some(ca) = &self.ca else {
            return match &self.cert {
                Some(cert) => Err(wrong_file(
                    cert,
                    "a client certificate needs the file of the certificate authority as well",
                )),
                None => Ok(None),
            };
        };
        let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(pem(ca, "CERTIFICATE")?));
        Ok(Some(match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        }))
    }
}

/// Reads a PEM file and looks for what it should hold, so that a mix-up is named here and not by a handshake.
fn pem(path: &Path, label: &str) -> Result<Vec<u8>, StoreError> {
    let text = std::fs::read(path).map_err(|why| unreadable(path, label, &why))?;
    let is_there = String::from_utf8_lossy(&text)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(label));
    if is_there {
        Ok(text)
    } else {
        Err(wrong_file(
            path,
            &format!("no PEM block of a {label} in it"),
        ))
    }
}

fn wrong(option: &str, why: &str) -> StoreError {
    StoreError::Options {
        option: option.to_owned(),
        why: why.to_owned(),
    }
}

fn unreadable(path: &Path, what: &str, why: &std::io::Error) -> StoreError {
    let why = format!(
        "the file of the {} cannot be read: {why}",
        what.to_lowercase()
    );
    wrong_file(path, &why)
}

fn wrong_file(path: &Path, why: &str) -> StoreError {
    wrong(&path.display().to_string(), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(endpoint: &str) -> EtcdOptions {
        EtcdOptions {
            endpoints: vec![endpoint.to_owned()],
            prefix: "/net".to_owned(),
            ..EtcdOptions::default()
        }
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_https_when_a_ca_is_given() {
        let mut options = options("etcd-1:2379");
        assert_eq!(options.urls(), Ok(vec!["http://etcd-1:2379".to_owned()]));
        options.ca = Some("/ca.pem".into());
        assert_eq!(options.urls(), Ok(vec!["https://etcd-1:2379".to_owned()]));
    }

    #[test]
    fn options_that_contradict_each_other_are_named() {
        let says = |options: &EtcdOptions, text: &str| {
            let refused = match (options.urls(), options.connect_options()) {
                (Err(why), _) | (_, Err(why)) => why.to_string(),
                _ => panic!("accepted: {options:?}"),
            };
            assert!(refused.contains(text), "{refused}");
        };
        let ca = Some(PathBuf::from("/no/ca.pem"));
        says(
            &EtcdOptions {
                ca: ca.clone(),
                ..options("http://a:1")
            },
            "plain http",
        );
        says(
            &EtcdOptions {
                ca,
                ..options("https://a:1")
            },
            "/no/ca.pem",
        );
        says(&options("https://a:1"), "certificate authority");
        says(&options("ftp://a:1"), "no http");
        says(&options("http://u:p@a:1"), "must not contain '@'");
        says(&EtcdOptions::default(), "none given");
        let cert = Some(PathBuf::from("/no/cert.pem"));
        says(
            &EtcdOptions {
                cert,
                ..options("a:1")
            },
            "/no/cert.pem",
        );
        let username = Some("twill".to_owned());
        says(
            &EtcdOptions {
                username,
                ..options("a:1")
            },
            "\"twill\"",
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        let password = Some("hunter2".to_owned());
        let shown = format!(
            "{:?}",
            EtcdOptions {
                password,
                ..options("a:1")
            }
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
