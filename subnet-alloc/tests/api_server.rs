//! What an API server, or something between it and us, can do wrong. The real one is asked in `netns-tests`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use subnet_alloc::*;
use tempfile::TempDir;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const CONFIG: &str = r#"{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}"#;
const OWN: &str = r#"{"metadata":{"name":"node1","resourceVersion":"3"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"]}}"#;

/// Says to each path what `answer` says, closes the connection, and remembers what it was asked.
struct FakeServer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
    fn start(answer: fn(&str) -> String) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let path = serve(stream.unwrap(), answer);
                remembered.lock().unwrap().push(path);
            }
        });
        FakeServer { url, asked }
    }

    fn watches(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.contains("watch=")).count()
    }
}

fn serve(mut stream: TcpStream, answer: fn(&str) -> String) -> String {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    // The rest of the head; there is no body.
    let _ = lines
        .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        .count();
    let body = answer(&path);
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    // Whoever has gone away does not hear it.
    let _ = stream.write_all((head + &body).as_bytes());
    path
}

/// The store of node1 that asks this server.
fn store(server: &FakeServer) -> (KubeStore, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (kubeconfig, network_config) = (
        directory.path().join("kubeconfig"),
        directory.path().join("net-conf.json"),
    );
    let url = &server.url;
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    fs::write(&kubeconfig, text).unwrap();
    fs::write(&network_config, CONFIG).unwrap();
    let options = KubeOptions {
        kubeconfig: Some(kubeconfig),
        node: "node1".to_owned(),
        network_config,
        annotations: Annotations::default(),
    };
    (KubeStore::open(options).unwrap(), directory)
}

fn list(more: &str, items: &str) -> String {
    format!(r#"{{"metadata":{{"resourceVersion":"5","continue":"{more}"}},"items":[{items}]}}"#)
}

#[tokio::test]
async fn a_watch_that_ends_as_soon_as_it_begins_is_an_outage() {
    let server = FakeServer::start(|path| match path {
        "/api/v1/nodes/node1" => OWN.to_owned(),
        path if path.contains("watch=") => String::new(),
        _ => list("", OWN),
    });
    let (store, _directory) = store(&server);
    let listing = store.list().await.unwrap();
    let mut watch = store.watch(listing.revision).await.unwrap();
    let ended = timeout(SOON, watch.next())
        .await
        .expect("it is told at once");
    let why = ended.unwrap_err();
    assert!(why.is_transient(), "{why}");
    assert!(why.to_string().contains("ends a watch as soon as"), "{why}");
    assert_eq!(server.watches(), 1);
}

#[tokio::test]
async fn a_listing_goes_on_over_connections_that_are_closed() {
    let server = FakeServer::start(|path| match path {
        "/api/v1/nodes/node1" => OWN.to_owned(),
        path if path.contains("continue=") => list("", ""),
        _ => list("more & more", OWN),
    });
    let (store, _directory) = store(&server);
    let listing = store.list().await.unwrap();
    assert_eq!(listing.leases.len(), 1, "{listing:?}");
    let asked = server.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .any(|path| path.ends_with("continue=more%20%26%20more")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_one_short_line() {
    let server = FakeServer::start(|_| "<html>".repeat(10_000));
    let (store, _directory) = store(&server);
    let why = store.list().await.unwrap_err().to_string();
    assert!(
        why.contains("cannot be read") && why.len() < 300 && !why.contains('\n'),
        "{why}"
    );
}
