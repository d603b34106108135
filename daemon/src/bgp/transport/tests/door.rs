use std::net::{Ipv6Addr, TcpListener as Blocking};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::super::{ANYWHERE, TransportError};
use super::*;

/// A port that nobody else uses at any address.
pub(super) fn free_port() -> u16 {
    let listener = Blocking::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

async fn is_open(at: IpAddr, port: u16) -> bool {
    TcpStream::connect((at, port)).await.is_ok()
}

#[tokio::test]
async fn both_families_come_in_anywhere() {
    let port = free_port();
    let mut far = Transport::new();
    far.open(&Door {
        port,
        addresses: ANYWHERE.to_vec(),
        guests: vec![],
    })
    .unwrap();
    let mut peers = Vec::new();
    for at in ["127.0.0.1", "::1"] {
        peers.push(TcpStream::connect((at, port)).await.unwrap());
        let event = next(&mut far).await;
        let Event::Accepted { remote, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!(remote.ip().to_string(), at);
    }
}

#[tokio::test]
async fn the_door_moves_to_another_port_and_closes_and_those_inside_stay() {
    let (source, at) = (address(), address());
    let mut far = Transport::new();
    far.open(&door(at, vec![guest(source)])).unwrap();
    let mut inside = TcpStream::connect((at, PORT)).await.unwrap();
    let conn = accepted(&mut far).await;
    far.open(&Door {
        port: PORT + 1,
        ..door(at, vec![])
    })
    .unwrap();
    assert!(!is_open(at, PORT).await);
    assert!(is_open(at, PORT + 1).await);
    accepted(&mut far).await;
    far.open(&Door {
        port: 0,
        ..door(at, vec![])
    })
    .unwrap();
    assert!(!is_open(at, PORT + 1).await);
    far.send(conn, bytes::Bytes::from_static(b"hello"));
    timeout(DEADLINE, inside.read_exact(&mut [0; 5]))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_same_door_again_is_not_touched() {
    let at = address();
    let mut far = Transport::new();
    far.open(&door(at, vec![])).unwrap();
    let mut waiting = TcpStream::connect((at, PORT)).await.unwrap();
    far.open(&door(at, vec![guest(address())])).unwrap();
    let conn = accepted(&mut far).await;
    far.send(conn, bytes::Bytes::from_static(b"hello"));
    timeout(DEADLINE, waiting.read_exact(&mut [0; 5]))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_door_that_somebody_else_has_is_named_and_tried_again() {
    let (taken, free) = (address(), address());
    let other = Blocking::bind((taken, PORT)).unwrap();
    let mut far = Transport::new();
    let both = Door {
        addresses: vec![taken, free],
        ..door(taken, vec![])
    };
    let error = far.open(&both).unwrap_err();
    assert!(
        matches!(error, TransportError::Occupied(at) if at.ip() == taken),
        "{error}"
    );
    assert!(is_open(free, PORT).await);
    drop(other);
    far.open(&both).unwrap();
    assert!(is_open(taken, PORT).await);
}

#[tokio::test]
async fn a_restart_opens_the_door_at_once() {
    let at = address();
    let mut far = Transport::new();
    far.open(&door(at, vec![])).unwrap();
    let _peer = TcpStream::connect((at, PORT)).await.unwrap();
    accepted(&mut far).await;
    drop(far);
    Transport::new().open(&door(at, vec![])).unwrap();
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_told() {
    let error = Transport::new()
        .open(&door("192.0.2.1".parse().unwrap(), vec![]))
        .unwrap_err();
    assert!(matches!(error, TransportError::NotOurs(_)), "{error}");
}

#[tokio::test]
async fn strangers_have_a_few_places_and_guests_have_theirs() {
    let (source, at) = (address(), address());
    let mut far = Transport::with(Limits {
        strangers: 2,
        of_each_guest: 1,
        ..Limits::default()
    });
    far.open(&door(at, vec![guest(source)])).unwrap();
    let _one = TcpStream::connect((at, PORT)).await.unwrap();
    let two = TcpStream::connect((at, PORT)).await.unwrap();
    accepted(&mut far).await;
    let conn = accepted(&mut far).await;
    let mut three = TcpStream::connect((at, PORT)).await.unwrap();
    nothing(&mut far).await;
    assert_eq!(three.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(far.turned_away(), 1);

    let mut near = Transport::new();
    near.connect(PEER, dialing(source, at));
    tokio::join!(connected(&mut near), accepted(&mut far));
    near.connect(PEER, dialing(source, at));
    nothing(&mut far).await;
    assert_eq!(far.turned_away(), 2);

    drop(two);
    assert!(matches!(next(&mut far).await, Event::Closed(gone, _) if gone == conn));
    let _four = TcpStream::connect((at, PORT)).await.unwrap();
    accepted(&mut far).await;
}
