//! How the API server is reached, and as whom. Certificates and tokens are read for each connection: they are renewed while a
//! daemon runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderValue, Uri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::exec::Exec;

/// Where a pod finds what its service account needs.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// An API server, and who asks it.
#[derive(Debug)]
pub(super) struct Access {
    /// `https://10.96.0.1:443`, and a path where the server is behind one.
    pub(super) url: Uri,
    /// The name that its certificate has, where that is not the one in the URL.
    pub(super) name: Option<String>,
    /// Who has signed its certificate.
    pub(super) authority: Option<Pem>,
    /// A certificate that is shown, and its key.
    pub(super) identity: Option<(Pem, Pem)>,
    pub(super) token: Token,
}

/// Certificates or a key.
#[derive(Debug)]
pub(super) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

/// What is said of oneself in each request.
#[derive(Debug)]
pub(super) enum Token {
    None,
    Fixed(String),
    File(PathBuf),
    /// A program says it.
    Exec(Exec),
}

impl Access {
    /// The server of the cluster whose pod this is, as the pod's service account.
    pub(super) fn of_pod() -> Result<Access, String> {
        let variable = |name| {
            std::env::var(name).map_err(|_| {
                format!("this is no pod of a cluster ({name} is not set); name a kubeconfig file")
            })
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let url = format!("https://{host}:{port}");
        let account = Path::new(ACCOUNT);
        Ok(Access {
            url: url.parse().map_err(|why| format!("{url}: {why}"))?,
            name: None,
            authority: Some(Pem::File(account.join("ca.crt"))),
            identity: None,
            token: Token::File(account.join("token")),
        })
    }

    /// What is shown and checked when a connection is encrypted.
    pub(super) fn tls(&self) -> Result<ClientConfig, String> {
        let authority = self.authority.as_ref();
        let authority = authority.ok_or("no certificate-authority is named for it")?;
        let mut roots = RootCertStore::empty();
        for certificate in authority.certificates()? {
            let added = roots.add(certificate);
            added.map_err(|why| format!("{}: {why}", authority.name()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder
            .map_err(|why| why.to_string())?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        builder
            .with_client_auth_cert(certificate.certificates()?, key.key()?)
            .map_err(|why| format!("{}: {why}", certificate.name()))
    }

    /// The header `Authorization`, if there is one.
    pub(super) async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let token = match &self.token {
            Token::None => return Ok(None),
            Token::Fixed(token) => token.clone(),
            Token::File(path) => {
                fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?
            }
            Token::Exec(exec) => match exec.token().await? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| "the token has characters that no token has")?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Pem {
    fn name(&self) -> String {
        match self {
            Pem::File(path) => path.display().to_string(),
            Pem::Text(_) => "the data in the kubeconfig".to_owned(),
        }
    }

    fn text(&self) -> Result<Vec<u8>, String> {
        match self {
            Pem::File(path) => fs::read(path).map_err(|why| format!("{}: {why}", path.display())),
            Pem::Text(text) => Ok(text.clone()),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let text = self.text()?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let all = all.map_err(|why| format!("{}: {why}", self.name()))?;
        if all.is_empty() {
            return Err(format!("{}: it has no certificate (PEM)", self.name()));
        }
        Ok(all)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let key = PrivateKeyDer::from_pem_slice(&self.text()?);
        key.map_err(|why| format!("{}: no private key (PEM): {why}", self.name()))
    }
}
