use bytes::Bytes;
use ipnetwork::IpNetwork;

use super::*;
use crate::bgp::transport::key::BadKey;

/// A door with a key for whoever comes from there.
fn keyed(at: IpAddr, from: impl Into<IpNetwork>, text: &str) -> Door {
    let guest = Guest {
        from: from.into(),
        key: key(text),
        ttl: Ttl::Hops(64),
    };
    door(at, vec![guest])
}

fn with_key(source: IpAddr, remote: IpAddr, text: &str) -> Dialing {
    Dialing {
        key: key(text),
        ..dialing(source, remote)
    }
}

async fn is_let_in(far: &mut Transport, dialing: Dialing) -> bool {
    let mut near = hasty();
    near.connect(PEER, dialing);
    let there = async {
        loop {
            next(far).await;
        }
    };
    tokio::select! {
        event = next(&mut near) => matches!(event, Event::Connected { .. }),
        () = there => unreachable!("there is always more"),
    }
}

#[tokio::test]
async fn only_the_right_key_opens_the_door() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    far.open(&keyed(remote, source, "secret")).unwrap();
    assert!(is_let_in(&mut far, with_key(source, remote, "secret")).await);
    assert!(!is_let_in(&mut far, with_key(source, remote, "Secret")).await);
    assert!(!is_let_in(&mut far, dialing(source, remote)).await);
}

#[tokio::test]
async fn somebody_without_a_key_is_not_heard_by_one_who_has_one() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    far.open(&door(remote, vec![guest(source)])).unwrap();
    assert!(!is_let_in(&mut far, with_key(source, remote, "secret")).await);
}

#[tokio::test]
async fn a_range_has_a_key_and_one_in_it_another() {
    let (one, other, remote) = (address(), address(), address());
    let range = Guest {
        from: IpNetwork::new(other, 24).unwrap(),
        key: key("of all"),
        ttl: Ttl::Hops(64),
    };
    let own = Guest {
        from: one.into(),
        key: key("of one"),
        ttl: Ttl::Hops(64),
    };
    let mut far = Transport::new();
    far.open(&door(remote, vec![range, own])).unwrap();
    assert!(is_let_in(&mut far, with_key(other, remote, "of all")).await);
    assert!(is_let_in(&mut far, with_key(one, remote, "of one")).await);
    assert!(!is_let_in(&mut far, with_key(one, remote, "of all")).await);
}

#[tokio::test]
async fn keys_come_change_and_go_while_those_who_are_in_stay() {
    let (source, remote) = (address(), address());
    let (mut near, mut far) = (Transport::new(), Transport::new());
    far.open(&keyed(remote, source, "first")).unwrap();
    near.connect(PEER, with_key(source, remote, "first"));
    let (near_conn, far_conn) = tokio::join!(connected(&mut near), accepted(&mut far));

    far.open(&keyed(remote, source, "second")).unwrap();
    assert!(!is_let_in(&mut far, with_key(source, remote, "first")).await);
    assert!(is_let_in(&mut far, with_key(source, remote, "second")).await);
    far.open(&door(remote, vec![guest(source)])).unwrap();
    assert!(is_let_in(&mut far, dialing(source, remote)).await);
    far.open(&keyed(remote, source, "third")).unwrap();
    assert!(!is_let_in(&mut far, dialing(source, remote)).await);

    near.send(near_conn, Bytes::from_static(b"still here"));
    let mut got = Vec::new();
    while got.len() < 10 {
        if let Event::Bytes(conn, bytes) = next(&mut far).await {
            assert_eq!(conn, far_conn);
            got.extend_from_slice(&bytes);
        }
    }
    assert_eq!(got, b"still here");
}

#[tokio::test]
async fn ipv6_has_keys_as_well() {
    let local: IpAddr = "::1".parse().unwrap();
    let port = super::door::free_port();
    let mut far = Transport::new();
    far.open(&Door {
        port,
        ..keyed(local, local, "secret")
    })
    .unwrap();
    let remote = SocketAddr::new(local, port);
    assert!(
        is_let_in(
            &mut far,
            Dialing {
                remote,
                ..with_key(local, local, "secret")
            }
        )
        .await
    );
    assert!(
        !is_let_in(
            &mut far,
            Dialing {
                remote,
                ..dialing(local, local)
            }
        )
        .await
    );
}

#[test]
fn keys_are_one_to_eighty_bytes_long_and_never_shown() {
    assert_eq!(Key::new(b""), Err(BadKey::Empty));
    assert_eq!(Key::new(&[1; 81]), Err(BadKey::TooLong(81)));
    let longest = Key::new(&[b'x'; 80]).unwrap();
    assert_eq!(format!("{longest:?}"), "Key(..)");
}

#[tokio::test]
async fn a_guest_whose_key_the_kernel_does_not_take_is_not_let_in() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    let others = (0..4000u32).map(|n| Guest {
        from: IpAddr::from((0x0a00_0000 + n).to_be_bytes()).into(),
        key: key("secret"),
        ttl: Ttl::Hops(64),
    });
    let last = Guest {
        key: key("secret"),
        ..guest(source)
    };
    let error = far
        .open(&door(remote, others.chain([last]).collect()))
        .unwrap_err();
    assert!(error.to_string().contains("net.core.optmem_max"), "{error}");
    let mut near = Transport::new();
    near.connect(PEER, dialing(source, remote));
    let turned_away = async {
        tokio::select! {
            event = next(&mut far) => panic!("{event:?}"),
            event = async { connected(&mut near).await; next(&mut near).await } => event,
        }
    };
    assert!(matches!(turned_away.await, Event::Closed(..)));
    assert_eq!(far.turned_away(), 1);
}

#[tokio::test]
async fn of_two_guests_alike_the_last_counts() {
    let (source, remote) = (address(), address());
    let mut far = Transport::new();
    let mut door = keyed(remote, source, "secret");
    door.guests.push(guest(source));
    far.open(&door).unwrap();
    assert!(is_let_in(&mut far, dialing(source, remote)).await);
}
