//! Over loopback. Each test has addresses of its own, so that all may run at once.

mod connections;
mod dialing;
mod door;
mod keys;
mod ttl;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bgp::peer::ConnId;
use bgp::rib::PeerId;
use tokio::time::timeout;

use super::{Dialing, Door, Event, Guest, Key, Limits, Transport, Ttl};

/// What should happen happens before.
const DEADLINE: Duration = Duration::from_secs(20);
/// What should not happen has not happened then.
const SHORT: Duration = Duration::from_millis(400);
const PORT: u16 = 1790;
const PEER: PeerId = PeerId(1);

/// An address that nobody else uses.
fn address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., b, c] = process::id().to_be_bytes();
    let d = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    Ipv4Addr::new(127, b.max(1), c, d).into()
}

/// Gives up soon.
fn hasty() -> Transport {
    Transport::with(Limits {
        connect: SHORT,
        ..Limits::default()
    })
}

fn key(text: &str) -> Option<Key> {
    Some(Key::new(text.as_bytes()).unwrap())
}

fn door(at: IpAddr, guests: Vec<Guest>) -> Door {
    Door {
        port: PORT,
        addresses: vec![at],
        guests,
    }
}

fn guest(from: IpAddr) -> Guest {
    Guest {
        from: from.into(),
        key: None,
        ttl: Ttl::Hops(64),
    }
}

/// From one address to another.
fn dialing(source: IpAddr, remote: IpAddr) -> Dialing {
    Dialing {
        remote: SocketAddr::new(remote, PORT),
        source: Some(source),
        ttl: Ttl::Hops(64),
        key: None,
    }
}

async fn next(transport: &mut Transport) -> Event {
    timeout(DEADLINE, transport.next())
        .await
        .expect("nothing happens")
}

async fn nothing(transport: &mut Transport) {
    let event = timeout(SHORT, transport.next()).await;
    assert!(event.is_err(), "{event:?}");
}

async fn connected(transport: &mut Transport) -> ConnId {
    match next(transport).await {
        Event::Connected { conn, .. } => conn,
        other => panic!("{other:?}"),
    }
}

async fn failed(transport: &mut Transport) -> String {
    match next(transport).await {
        Event::ConnectFailed { why, .. } => why.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn accepted(transport: &mut Transport) -> ConnId {
    match next(transport).await {
        Event::Accepted { conn, .. } => conn,
        other => panic!("{other:?}"),
    }
}

/// The bytes of this many octets, whatever pieces they come in.
async fn heard(transport: &mut Transport, conn: ConnId, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        match next(transport).await {
            Event::Bytes(from, bytes) => {
                assert_eq!(from, conn);
                all.extend_from_slice(&bytes);
            }
            Event::Sent(..) => {}
            other => panic!("{other:?}"),
        }
    }
    all
}

/// Two ends of one connection: who connected, and who was connected to.
struct Pair {
    near: Transport,
    near_conn: ConnId,
    far: Transport,
    far_conn: ConnId,
}

async fn pair() -> Pair {
    let (source, remote) = (address(), address());
    let (mut near, mut far) = (Transport::new(), Transport::new());
    far.open(&door(remote, vec![guest(source)])).unwrap();
    near.connect(PEER, dialing(source, remote));
    let (near_conn, far_conn) = tokio::join!(connected(&mut near), accepted(&mut far));
    Pair {
        near,
        near_conn,
        far,
        far_conn,
    }
}
