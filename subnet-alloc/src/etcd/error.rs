//! What went wrong with etcd, as situations that a caller can act on.

use std::error::Error as _;

use etcd_client::Error;

use crate::lease::Revision;
use crate::store::StoreError;

/// gRPC status codes, <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
mod code {
    pub(super) const CANCELLED: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// The situation that an error of the client stands for.
pub(super) fn situation(error: &Error, endpoint: &str) -> StoreError {
    let endpoint = endpoint.to_owned();
    let (code, why) = match error {
        Error::GRpcStatus(status) => (
            status.code() as i32,
            chain(status.message(), status.source()),
        ),
        Error::TransportError(transport) => (
            code::UNAVAILABLE,
            chain(&transport.to_string(), transport.source()),
        ),
        Error::IoError(io) => (code::UNAVAILABLE, io.to_string()),
        Error::InvalidUri(why) => {
            let why = why.to_string();
            return StoreError::Options {
                option: endpoint,
                why,
            };
        }
        other => (code::UNKNOWN, other.to_string()),
    };
    from_words(code, with_hint(why, &endpoint), endpoint)
}

/// TLS 1.3 tells a client that its certificate is missing or refused only after the handshake, and often just by
/// closing the connection.
fn with_hint(why: String, endpoint: &str) -> String {
    let is_closed = why.contains("connection closed") || why.contains("broken pipe");
    if endpoint.starts_with("https://") && is_closed {
        return format!("{why}; perhaps it asks for a client certificate, or refuses ours");
    }
    why
}

/// The situation behind a watch that etcd has ended, of which it tells only the reason's text.
pub(super) fn ended_watch(reason: &str, endpoint: &str) -> StoreError {
    let code = match reason {
        _ if reason.contains("permission denied") => code::PERMISSION_DENIED,
        _ if reason.contains("auth") => code::UNAUTHENTICATED,
        _ => code::UNAVAILABLE,
    };
    let why = match reason {
        "" => "it ended the watch without a reason".to_owned(),
        reason => format!("it ended the watch: {reason}"),
    };
    from_words(code, why, endpoint.to_owned())
}

/// etcd's words are those of its `api/v3rpc/rpctypes`.
fn from_words(code: i32, why: String, endpoint: String) -> StoreError {
    let says = |words: &str| why.contains(words);
    let is_credentials = says("authentication failed")
        || says("user name is empty")
        || says("authentication is not enabled");
    match code {
        _ if says("required revision has been compacted") => StoreError::Compacted {
            endpoint,
            asked: Revision(0),
            at: Revision(0),
        },
        _ if says("database space exceeded") => StoreError::NoSpace { endpoint, why },
        code::PERMISSION_DENIED | code::UNAUTHENTICATED => StoreError::Refused { endpoint, why },
        _ if is_credentials => StoreError::Refused { endpoint, why },
        code::CANCELLED
        | code::UNKNOWN
        | code::DEADLINE_EXCEEDED
        | code::INTERNAL
        | code::UNAVAILABLE => StoreError::Unreachable { endpoint, why },
        _ if says("too many requests") => StoreError::Unreachable { endpoint, why },
        _ => StoreError::Failed { endpoint, why },
    }
}

/// An answer that is larger than we are willing to read at once.
pub(super) fn is_too_large(error: &StoreError) -> bool {
    matches!(error, StoreError::Failed { why, .. } if why.contains("message length too large"))
}

/// A message and what caused it, each part once.
fn chain(message: &str, mut source: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut text = message.to_owned();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
