use std::net::Ipv6Addr;

use bytes::Bytes;
use ipnetwork::IpNetwork;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::manners::prepare;
use super::super::sockopt::{keep_syn, set_least_ttl, syn_ttl};
use super::*;

#[tokio::test]
async fn neighbours_hear_each_other_with_ttl_security() {
    let (source, remote) = (address(), address());
    let (mut near, mut far) = (Transport::new(), Transport::new());
    let secure = Guest {
        ttl: Ttl::Security(1),
        ..guest(source)
    };
    far.open(&door(remote, vec![secure])).unwrap();
    near.connect(
        PEER,
        Dialing {
            ttl: Ttl::Security(1),
            ..dialing(source, remote)
        },
    );
    let (near_conn, far_conn) = tokio::join!(connected(&mut near), accepted(&mut far));
    near.send(near_conn, Bytes::from_static(b"near"));
    far.send(far_conn, Bytes::from_static(b"far"));
    assert_eq!(heard(&mut far, far_conn, 4).await, b"near");
    assert_eq!(heard(&mut near, near_conn, 3).await, b"far");
}

#[tokio::test]
async fn a_guest_from_too_far_is_not_heard() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    let secure = Guest {
        ttl: Ttl::Security(2),
        ..guest(source)
    };
    let others = Guest {
        from: IpNetwork::new(source, 24).unwrap(),
        ..guest(source)
    };
    far.open(&door(remote, vec![secure, others])).unwrap();
    let peer = from(source, SocketAddr::new(remote, PORT), 254);
    let conn = accepted(&mut far).await;
    let socket = SockRef::from(&peer);
    socket.set_ttl_v4(253).unwrap();
    peer.try_write(b"hello").unwrap();
    nothing(&mut far).await;
    socket.set_ttl_v4(254).unwrap();
    assert_eq!(heard(&mut far, conn, 5).await, b"hello");
}

/// What he said before he was let in would be heard.
#[tokio::test]
async fn a_guest_whose_first_packet_came_from_too_far_is_not_let_in() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    let secure = Guest {
        ttl: Ttl::Security(2),
        ..guest(source)
    };
    far.open(&door(remote, vec![secure])).unwrap();
    let peer = from(source, SocketAddr::new(remote, PORT), 253);
    peer.writable().await.unwrap();
    peer.try_write(b"hello").unwrap();
    nothing(&mut far).await;
    assert_eq!(far.turned_away(), 1);
}

#[test]
fn the_first_packet_of_ipv6_says_how_far_it_came_and_says_it_once() {
    let any = SockAddr::from(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    let listener = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    keep_syn(&listener).unwrap();
    listener.bind(&any).unwrap();
    listener.listen(1).unwrap();
    let peer = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    peer.set_unicast_hops_v6(254).unwrap();
    peer.connect(&listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(syn_ttl(&accepted).unwrap(), Some(254));
    assert_eq!(syn_ttl(&accepted).unwrap(), None);
}

#[tokio::test]
async fn an_answer_from_too_far_is_none() {
    let remote = address();
    let _listener = TcpListener::bind((remote, PORT)).await.unwrap();
    let mut near = hasty();
    near.connect(
        PEER,
        Dialing {
            ttl: Ttl::Security(1),
            ..dialing(address(), remote)
        },
    );
    assert!(failed(&mut near).await.contains("did not answer"));
}

#[tokio::test]
async fn what_we_send_goes_as_far_as_it_is_said_when_we_connect() {
    let remote = address();
    let listener = TcpListener::bind((remote, PORT)).await.unwrap();
    set_least_ttl(&listener, false, 4).unwrap();
    let mut near = hasty();
    near.connect(
        PEER,
        Dialing {
            ttl: Ttl::Hops(3),
            ..dialing(address(), remote)
        },
    );
    failed(&mut near).await;
    near.connect(
        PEER,
        Dialing {
            ttl: Ttl::Hops(4),
            ..dialing(address(), remote)
        },
    );
    connected(&mut near).await;
}

#[tokio::test]
async fn what_we_send_goes_as_far_as_it_is_said_when_we_are_connected_to() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    far.open(&door(
        remote,
        vec![Guest {
            ttl: Ttl::Hops(3),
            ..guest(source)
        }],
    ))
    .unwrap();
    let mut peer = from(source, SocketAddr::new(remote, PORT), 64);
    let conn = accepted(&mut far).await;
    set_least_ttl(&peer, false, 4).unwrap();
    far.send(conn, Bytes::from_static(b"hello"));
    let mut got = [0; 5];
    assert!(timeout(SHORT, peer.read_exact(&mut got)).await.is_err());
    set_least_ttl(&peer, false, 3).unwrap();
    timeout(DEADLINE, peer.read_exact(&mut got))
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn packets_are_marked_as_control_of_the_network() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    prepare(&socket, false).unwrap();
    assert_eq!(socket.tos_v4().unwrap(), 0xc0);
    assert!(socket.tcp_nodelay().unwrap());
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    prepare(&socket, true).unwrap();
    assert_eq!(socket.tclass_v6().unwrap(), 0xc0);
}

/// Somebody who is connected and cares for nothing.
fn from(source: IpAddr, remote: SocketAddr, ttl: u32) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_ttl_v4(ttl).unwrap();
    socket
        .bind(&SockAddr::from(SocketAddr::new(source, 0)))
        .unwrap();
    socket.connect(&SockAddr::from(remote)).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}
