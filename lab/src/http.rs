//! The little HTTP/1.1 that the lab speaks: to the daemons' `/readyz`, to etcd's `/health`, to `kubectl proxy`.

use crate::Namespace;
use crate::error::{LabError, Result};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// `GET path` from inside `namespace`.
pub fn get(namespace: &Namespace, server: SocketAddr, path: &str) -> Result<HttpResponse> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    exchange(namespace, server, request.as_bytes())
}

/// Sends JSON by `method` from inside `namespace`; by PATCH it is a merge patch (RFC 7396).
pub fn send_json(
    namespace: &Namespace,
    server: SocketAddr,
    (method, path): (&str, &str),
    json: &str,
) -> Result<HttpResponse> {
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let length = json.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{json}"
    );
    exchange(namespace, server, request.as_bytes())
}

fn exchange(namespace: &Namespace, server: SocketAddr, request: &[u8]) -> Result<HttpResponse> {
    let answer = namespace.run(|| -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    })?;
    let answer = answer.map_err(LabError::system(format!("talk HTTP with {server}")))?;
    parse(&answer).ok_or_else(|| LabError::Malformed {
        what: format!("the HTTP answer of {server}"),
        text: String::from_utf8_lossy(&answer).into_owned(),
    })
}

fn parse(answer: &[u8]) -> Option<HttpResponse> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end])
        .ok()?
        .to_ascii_lowercase();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body = &answer[end + 4..];
    let chunked = head
        .lines()
        .any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    Some(HttpResponse {
        status,
        body: if chunked {
            join_chunks(body)?
        } else {
            body.to_vec()
        },
    })
}

fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let start = line + 2;
        body.extend_from_slice(rest.get(start..start.checked_add(size)?)?);
        rest = rest.get(start + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_read() {
        let response =
            parse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((response.status, response.body), (503, b"no".to_vec()));
    }

    #[test]
    fn chunks_are_joined() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(answer).unwrap().body, b"abcde");
    }

    #[test]
    fn a_cut_chunk_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc").is_none());
    }
}
