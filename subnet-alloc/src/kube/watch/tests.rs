#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::kube::annotations::Annotations;
use crate::kube::node::Reading;

use super::*;

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(5);
const NODE: &str = r#"{"type":"ADDED","object":{"metadata":{"name":"node2","resourceVersion":"6","annotations":{"flannel.alpha.coreos.com/kube-subnet-manager":"true","flannel.alpha.coreos.com/backend-type":"host-gw","flannel.alpha.coreos.com/backend-data":"null","flannel.alpha.coreos.com/public-ip":"10.99.0.2"}},"spec":{"podCIDR":"10.244.2.0/24","podCIDRs":["10.244.2.0/24"]}}}"#;

/// A server at a revision. Its first watches, so many, are silent; those after them know a Node.
fn server(at: u64, silent: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut open, mut watches) = (Vec::new(), 0);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let is_watch = path(&stream).contains("watch=");
            watches += usize::from(is_watch);
            let answer = match is_watch {
                false => format!(r#"{{"metadata":{{"resourceVersion":"{at}"}},"items":[]}}"#),
                true if watches <= silent => String::new(),
                true => format!("{NODE}\n"),
            };
            // Without a length, the answer goes on until the connection ends.
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all((head.to_owned() + &answer).as_bytes());
            open.extend(is_watch.then_some(stream));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    Server::open(Some(&kubeconfig)).unwrap()
}

fn path(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap().unwrap();
    let rest = lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    assert!(rest.count() > 0);
    request.split(' ').nth(1).unwrap().to_owned()
}

/// A watch after revision 5 that soon loses patience.
async fn watch(server: Server) -> KubeWatch {
    let reading = Reading {
        names: Annotations::default(),
        v4: true,
        v6: false,
    };
    let leases = NodeLeases::new(reading);
    let mut watch = KubeWatch::open(server, leases, Revision(5)).await.unwrap();
    watch.patience = SHORT;
    watch
}

#[tokio::test]
async fn a_server_with_nothing_to_tell_is_asked_again_and_what_was_missed_comes() {
    let mut watch = watch(server(5, 3)).await;
    let events = timeout(LONG, watch.next()).await.expect("it comes");
    let events = events.unwrap();
    assert!(
        matches!(&events[..], [WatchEvent::Put(lease)] if lease.block.key() == "10.244.2.0-24"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_silent_server_that_has_gone_back_is_listed_again() {
    let mut watch = watch(server(4, usize::MAX)).await;
    let why = timeout(LONG, watch.next()).await.expect("it is told");
    let why = why.unwrap_err();
    assert!(
        matches!(why, StoreError::WentBack { known, at, .. } if (known, at) == (Revision(5), Revision(4))),
        "{why}"
    );
}
