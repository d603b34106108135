//! What an API server, or something between it and us, can do wrong. The real one is asked in `netns-tests`.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::store::{Watch, WatchEvent};

use super::*;
use Answer::{Begun, Whole};

const SOON: Duration = Duration::from_secs(5);
const CONFIG: &str = r#"{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}"#;
const OWN: &str = r#"{"metadata":{"name":"node1","resourceVersion":"3"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"]}}"#;
const OTHER: &str = r#"{"metadata":{"name":"node2","resourceVersion":"6","annotations":{"flannel.alpha.coreos.com/kube-subnet-manager":"true","flannel.alpha.coreos.com/backend-type":"host-gw","flannel.alpha.coreos.com/backend-data":"null","flannel.alpha.coreos.com/public-ip":"10.99.0.2"}},"spec":{"podCIDR":"10.244.2.0/24","podCIDRs":["10.244.2.0/24"]}}"#;

/// What is said to a path.
enum Answer {
    /// This, and the connection is closed.
    Whole(String),
    /// This, and perhaps more one day.
    Begun(String),
}

/// Says to each path what `answer` says, and remembers what it was asked.
struct FakeServer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
    fn start(mut answer: impl FnMut(&str) -> Answer + Send + 'static) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = asked.clone();
        thread::spawn(move || {
            let mut begun = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let path = path(&stream);
                let answer = answer(&path);
                remembered.lock().unwrap().push(path);
                begun.extend(say(stream, answer));
            }
        });
        FakeServer { url, asked }
    }

    fn watches(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.contains("watch=")).count()
    }
}

fn path(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap().unwrap();
    // The rest of the head; there is no body.
    let _ = lines
        .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        .count();
    request.split(' ').nth(1).unwrap().to_owned()
}

/// The connection, if the answer goes on.
fn say(mut stream: TcpStream, answer: Answer) -> Option<TcpStream> {
    let (length, body, goes_on) = match answer {
        Whole(body) => (format!("Content-Length: {}\r\n", body.len()), body, false),
        Begun(body) => (String::new(), body, true),
    };
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{length}\r\n");
    // Whoever has gone away does not hear it.
    let _ = stream.write_all((head + &body).as_bytes());
    goes_on.then_some(stream)
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
    std::fs::write(&kubeconfig, text).unwrap();
    std::fs::write(&network_config, CONFIG).unwrap();
    let options = KubeOptions {
        kubeconfig: Some(kubeconfig),
        node: "node1".to_owned(),
        network_config,
        annotations: Annotations::default(),
    };
    (KubeStore::open(options).unwrap(), directory)
}

fn list(at: u64, more: &str, items: &str) -> String {
    format!(r#"{{"metadata":{{"resourceVersion":"{at}","continue":"{more}"}},"items":[{items}]}}"#)
}

/// A watch that soon loses patience.
async fn impatient(store: &KubeStore) -> KubeWatch {
    let listing = store.list().await.unwrap();
    let mut watch = store.watch(listing.revision).await.unwrap();
    watch.patience = Duration::from_millis(50);
    watch
}

#[tokio::test]
async fn a_watch_that_ends_as_soon_as_it_begins_is_an_outage() {
    let server = FakeServer::start(|path| match path {
        "/api/v1/nodes/node1" => Whole(OWN.to_owned()),
        path if path.contains("watch=") => Whole(String::new()),
        _ => Whole(list(5, "", OWN)),
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
        "/api/v1/nodes/node1" => Whole(OWN.to_owned()),
        path if path.contains("continue=") => Whole(list(5, "", "")),
        _ => Whole(list(5, "more & more", OWN)),
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
    let server = FakeServer::start(|_| Whole("<html>".repeat(10_000)));
    let (store, _directory) = store(&server);
    let why = store.list().await.unwrap_err().to_string();
    assert!(
        why.contains("cannot be read") && why.len() < 300 && !why.contains('\n'),
        "{why}"
    );
}

#[tokio::test]
async fn a_server_with_nothing_to_tell_is_asked_again_and_what_was_missed_comes() {
    let mut watches = 0;
    let server = FakeServer::start(move |path| match path {
        "/api/v1/nodes/node1" => Whole(OWN.to_owned()),
        path if path.contains("watch=") => {
            watches += 1;
            let missed = format!("{{\"type\":\"ADDED\",\"object\":{OTHER}}}\n");
            Begun(if watches > 3 { missed } else { String::new() })
        }
        _ => Whole(list(5, "", OWN)),
    });
    let (store, _directory) = store(&server);
    let mut watch = impatient(&store).await;
    let events = timeout(SOON, watch.next()).await.expect("it comes");
    let events = events.unwrap();
    assert!(
        matches!(&events[..], [WatchEvent::Put(lease)] if lease.block.key() == "10.244.2.0-24"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_silent_server_that_has_gone_back_is_listed_again() {
    let server = FakeServer::start(|path| match path {
        "/api/v1/nodes/node1" => Whole(OWN.to_owned()),
        path if path.contains("watch=") => Begun(String::new()),
        path if path.ends_with("limit=1") => Whole(list(4, "", OWN)),
        _ => Whole(list(5, "", OWN)),
    });
    let (store, _directory) = store(&server);
    let mut watch = impatient(&store).await;
    let why = timeout(SOON, watch.next()).await.expect("it is told");
    let why = why.unwrap_err();
    assert!(
        matches!(why, StoreError::WentBack { known, at, .. } if (known, at) == (Revision(5), Revision(4))),
        "{why}"
    );
}
