//! A kubeconfig file: the cluster and the user of its current context.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use yaml_rust2::{Yaml, YamlLoader};

use super::access::{Access, Pem, Token};
use super::exec::Exec;

/// Ways to say who one is, or to get there, that are not known here.
const UNKNOWN_OF_USERS: [&str; 4] = ["auth-provider", "username", "as", "impersonate"];
const UNKNOWN_OF_CLUSTERS: [&str; 2] = ["insecure-skip-tls-verify", "proxy-url"];

/// Reads a file. Files that it names are looked for beside it.
pub(super) fn read(path: &Path) -> Result<Access, String> {
    let text = fs::read_to_string(path).map_err(|why| why.to_string())?;
    let all = YamlLoader::load_from_str(&text).map_err(|why| format!("it is no YAML: {why}"))?;
    let config = all.first().ok_or("it is empty")?;
    let beside = path.parent().unwrap_or(Path::new("."));
    access(config, beside)
}

fn access(config: &Yaml, beside: &Path) -> Result<Access, String> {
    let current = text(config, "current-context").ok_or("it has no current-context")?;
    let context = named(config, "contexts", "context", &current)?;
    let part = |key| text(context, key).ok_or(format!("context {current} names no {key}"));
    let (cluster, user) = (part("cluster")?, part("user")?);
    let cluster = named(config, "clusters", "cluster", &cluster)?;
    let user = named(config, "users", "user", &user)?;
    refuse(cluster, &UNKNOWN_OF_CLUSTERS)?;
    refuse(user, &UNKNOWN_OF_USERS)?;
    let url = text(cluster, "server").ok_or("its cluster names no server")?;
    let certificate = pem(user, "client-certificate", beside)?;
    let key = pem(user, "client-key", beside)?;
    Ok(Access {
        url: url.parse().map_err(|why| format!("server {url}: {why}"))?,
        name: text(cluster, "tls-server-name"),
        authority: pem(cluster, "certificate-authority", beside)?,
        identity: certificate.zip(key),
        token: token(user, beside),
    })
}

fn token(user: &Yaml, beside: &Path) -> Token {
    let exec = &user["exec"];
    if let Some(file) = text(user, "tokenFile") {
        return Token::File(beside.join(file));
    }
    if let Some(token) = text(user, "token") {
        return Token::Fixed(token);
    }
    let Some(command) = text(exec, "command") else {
        return Token::None;
    };
    let items = |key: &str| exec[key].as_vec().into_iter().flatten();
    // A path with a slash is beside the file, any other is looked for in PATH.
    let command = if command.contains('/') {
        beside.join(command).display().to_string()
    } else {
        command
    };
    Token::Exec(Exec {
        version: text(exec, "apiVersion").unwrap_or_default(),
        command,
        args: items("args").filter_map(word).collect(),
        env: items("env")
            .filter_map(|one| Some((text(one, "name")?, text(one, "value")?)))
            .collect(),
    })
}

/// A file, or what stands here in its place.
fn pem(part: &Yaml, key: &str, beside: &Path) -> Result<Option<Pem>, String> {
    let data = format!("{key}-data");
    if let Some(encoded) = text(part, &data) {
        let text = BASE64_STANDARD.decode(encoded.trim());
        let text = text.map_err(|why| format!("{data} is no base64: {why}"))?;
        return Ok(Some(Pem::Text(text)));
    }
    let file = text(part, key).map(PathBuf::from);
    Ok(file.map(|file| Pem::File(beside.join(file))))
}

fn refuse(part: &Yaml, keys: &[&str]) -> Result<(), String> {
    let is_said = |key: &&&str| !matches!(part[**key], Yaml::BadValue | Yaml::Boolean(false));
    match keys.iter().find(is_said) {
        Some(key) => Err(format!(
            "{key} is not known here; use a certificate-authority, and a client-certificate, a token, a tokenFile or exec"
        )),
        None => Ok(()),
    }
}

/// The entry of this name in a list.
fn named<'a>(config: &'a Yaml, list: &str, what: &str, name: &str) -> Result<&'a Yaml, String> {
    let mut all = config[list].as_vec().into_iter().flatten();
    let found = all.find(|one| text(one, "name").as_deref() == Some(name));
    found
        .map(|one| &one[what])
        .ok_or(format!("it has no {what} {name}"))
}

/// A value that says something.
fn text(part: &Yaml, key: &str) -> Option<String> {
    word(&part[key])
}

fn word(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(is_so) => Some(is_so.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts:
- name: elsewhere
  context: { cluster: b, user: b }
- name: here
  context: { cluster: a, user: nobody }
clusters:
- name: a
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority: pki/ca.pem
users:
- name: nobody
  user: USER
";

    fn read(text: &str) -> Result<Access, String> {
        let all = YamlLoader::load_from_str(text).unwrap();
        access(&all[0], Path::new("/etc/kube"))
    }

    fn with_user(user: &str) -> Result<Access, String> {
        read(&FILE.replace("USER", user))
    }

    #[test]
    fn the_current_context_says_where_and_as_whom() {
        let access = with_user("{ token: abc }").unwrap();
        assert_eq!(access.url, "https://10.0.0.1:6443");
        assert!(
            matches!(&access.authority, Some(Pem::File(file)) if file == Path::new("/etc/kube/pki/ca.pem"))
        );
        assert!(matches!(&access.token, Token::Fixed(token) if token == "abc"));
        assert!(access.identity.is_none());
    }

    #[test]
    fn a_user_shows_a_certificate_or_has_a_file_or_a_program_say_a_token() {
        let access = with_user("{ client-certificate-data: YQ==, client-key: /k.pem }").unwrap();
        let identity = access.identity.unwrap();
        assert!(
            matches!(&identity, (Pem::Text(text), Pem::File(key)) if text == b"a" && key == Path::new("/k.pem"))
        );
        let access = with_user("{ tokenFile: token }").unwrap();
        assert!(matches!(&access.token, Token::File(file) if file == Path::new("/etc/kube/token")));
        let exec = "{ exec: { apiVersion: client.authentication.k8s.io/v1, command: aws, args: [eks, get-token], env: [{ name: A, value: b }] } }";
        let Token::Exec(exec) = with_user(exec).unwrap().token else {
            panic!("no program");
        };
        assert_eq!((exec.command.as_str(), exec.args.len()), ("aws", 2));
        assert_eq!(exec.env, [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_is_missing_or_not_known_is_named() {
        for (text, why) in [
            (
                FILE.replace("current-context", "context"),
                "no current-context",
            ),
            (FILE.replace("name: here", "name: there"), "no context here"),
            (FILE.replace("- name: a", "- name: c"), "no cluster a"),
            (FILE.replace("server", "servers"), "names no server"),
            (
                FILE.replace("USER", "{ auth-provider: { name: oidc } }"),
                "auth-provider",
            ),
            (
                FILE.replace("USER", "{ client-key-data: '*' }"),
                "client-key-data is no base64",
            ),
            (
                FILE.replace(
                    "certificate-authority: pki/ca.pem",
                    "insecure-skip-tls-verify: true",
                ),
                "insecure-skip-tls-verify",
            ),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
