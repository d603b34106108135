use std::io::Write;
use std::net::{SocketAddr, TcpStream as Blocking};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn both_ends_are_told_of_a_connection_and_of_each_other() {
    let (source, remote) = (address(), address());
    let (mut near, mut far) = (Transport::new(), Transport::new());
    far.open(&door(remote, vec![guest(source)])).unwrap();
    near.connect(PEER, dialing(source, remote));
    let (made, came) = tokio::join!(next(&mut near), next(&mut far));
    let Event::Connected {
        peer: PEER,
        local,
        remote: other,
        ..
    } = made
    else {
        panic!("{made:?}")
    };
    assert_eq!((local.ip(), other), (source, SocketAddr::new(remote, PORT)));
    let Event::Accepted {
        local: its,
        remote: ours,
        ..
    } = came
    else {
        panic!("{came:?}")
    };
    assert_eq!((its, ours), (other, local));
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let mut pair = pair().await;
    pair.near.send(pair.near_conn, Bytes::from_static(b"hello"));
    pair.far
        .send(pair.far_conn, Bytes::from_static(b"good day"));
    assert_eq!(heard(&mut pair.far, pair.far_conn, 5).await, b"hello");
    assert_eq!(heard(&mut pair.near, pair.near_conn, 8).await, b"good day");
}

#[tokio::test]
async fn what_is_sent_in_many_pieces_comes_in_order_and_is_counted_exactly() {
    let Pair {
        mut near,
        near_conn,
        mut far,
        far_conn,
    } = pair().await;
    let pieces: Vec<Bytes> = (0..3000u32)
        .map(|n| Bytes::from(vec![n as u8; (n * 7 % 10_000) as usize]))
        .collect();
    let all = pieces.concat();
    for piece in pieces {
        near.send(near_conn, piece);
    }
    let counting = async {
        let mut sent = 0;
        while sent < all.len() {
            match next(&mut near).await {
                Event::Sent(conn, count) if conn == near_conn => sent += count,
                other => panic!("{other:?}"),
            }
        }
        sent
    };
    let (sent, got) = tokio::join!(counting, heard(&mut far, far_conn, all.len()));
    assert_eq!(sent, all.len());
    assert!(got == all, "what came is not what was sent");
}

#[tokio::test]
async fn a_close_comes_after_what_was_sent_before_even_to_one_who_does_not_stop_talking() {
    let (source, remote) = (address(), address());
    let listener = TcpListener::bind((remote, PORT)).await.unwrap();
    let mut near = Transport::with(Limits {
        linger: Duration::from_secs(2),
        ..Limits::default()
    });
    near.connect(PEER, dialing(source, remote));
    let conn = connected(&mut near).await;
    let (peer, _) = listener.accept().await.unwrap();
    let (mut hears, mut talks) = peer.into_split();
    let last_words = Bytes::from_static(b"last words");
    near.send(conn, Bytes::from(vec![2; 10 << 20]));
    near.send(conn, last_words.clone());
    near.close(conn);
    let mut got = Vec::new();
    let hearing = timeout(DEADLINE, hears.read_to_end(&mut got));
    let talking = async { while talks.write_all(&[1; 4096]).await.is_ok() {} };
    let (heard, ()) = tokio::join!(hearing, talking);
    heard.unwrap().unwrap();
    assert_eq!(got.len(), (10 << 20) + last_words.len());
    assert!(got.ends_with(&last_words));
    nothing(&mut near).await;
}

#[tokio::test]
async fn a_peer_that_never_closes_is_left_after_a_while() {
    let (source, remote) = (address(), address());
    let listener = TcpListener::bind((remote, PORT)).await.unwrap();
    let mut near = Transport::with(Limits {
        linger: SHORT,
        ..Limits::default()
    });
    near.connect(PEER, dialing(source, remote));
    let conn = connected(&mut near).await;
    let _peer = listener.accept().await.unwrap();
    near.send(conn, Bytes::from(vec![0; 100 << 20]));
    timeout(DEADLINE, near.finish())
        .await
        .expect("it waits for the peer");
}

#[tokio::test]
async fn finishing_waits_for_the_last_words_of_all() {
    let Pair {
        mut near,
        near_conn,
        mut far,
        far_conn,
    } = pair().await;
    near.send(near_conn, Bytes::from_static(b"last words"));
    let hearing = async {
        assert_eq!(heard(&mut far, far_conn, 10).await, b"last words");
        let end = next(&mut far).await;
        assert!(
            matches!(end, Event::Closed(conn, None) if conn == far_conn),
            "{end:?}"
        );
    };
    tokio::join!(near.finish(), hearing);
}

#[tokio::test]
async fn a_peer_that_closes_is_told_once_and_after_its_bytes() {
    let Pair {
        mut near,
        near_conn,
        mut far,
        far_conn,
    } = pair().await;
    far.send(far_conn, Bytes::from_static(b"bye"));
    far.close(far_conn);
    assert_eq!(heard(&mut near, near_conn, 3).await, b"bye");
    let end = next(&mut near).await;
    assert!(
        matches!(end, Event::Closed(conn, None) if conn == near_conn),
        "{end:?}"
    );
    near.send(near_conn, Bytes::from_static(b"too late"));
    nothing(&mut near).await;
}

#[tokio::test]
async fn what_a_peer_said_before_it_reset_the_connection_is_heard() {
    let (source, remote) = (address(), address());
    let listener = std::net::TcpListener::bind((remote, PORT)).unwrap();
    let mut near = Transport::new();
    for _ in 0..20 {
        near.connect(PEER, dialing(source, remote));
        let conn = connected(&mut near).await;
        let (mut peer, _): (Blocking, _) = listener.accept().unwrap();
        peer.write_all(b"last words").unwrap();
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        near.send(conn, Bytes::from_static(b"keepalive"));
        drop(peer);
        assert_eq!(heard(&mut near, conn, 10).await, b"last words");
        assert!(matches!(next(&mut near).await, Event::Closed(..)));
    }
}

#[tokio::test]
async fn whoever_does_not_listen_makes_the_peer_hold_back() {
    const FAR_TOO_MUCH: usize = 128 << 20;
    let remote = address();
    let mut far = Transport::new();
    far.open(&door(remote, vec![])).unwrap();
    let peer = TcpStream::connect((remote, PORT)).await.unwrap();
    let conn = accepted(&mut far).await;
    let mut written = 0;
    while written < FAR_TOO_MUCH && timeout(SHORT, peer.writable()).await.is_ok() {
        written += peer.try_write(&[7; 64 * 1024]).unwrap_or(0);
    }
    assert!(written < FAR_TOO_MUCH);
    assert_eq!(heard(&mut far, conn, written).await.len(), written);
}

#[tokio::test]
async fn dropped_without_a_word_the_peer_hears_only_the_end() {
    let Pair {
        mut near,
        mut far,
        far_conn,
        ..
    } = pair().await;
    near.drop_all();
    let end = next(&mut far).await;
    assert!(
        matches!(end, Event::Closed(conn, _) if conn == far_conn),
        "{end:?}"
    );
}

#[tokio::test]
async fn no_number_is_used_twice() {
    let (source, remote) = (address(), address());
    let (mut near, mut far) = (Transport::new(), Transport::new());
    far.open(&door(remote, vec![guest(source)])).unwrap();
    let mut last = ConnId(0);
    for _ in 0..3 {
        near.connect(PEER, dialing(source, remote));
        let (made, came) = tokio::join!(connected(&mut near), accepted(&mut far));
        assert!(made > last);
        last = made;
        near.close(made);
        assert!(matches!(next(&mut far).await, Event::Closed(conn, None) if conn == came));
    }
}
