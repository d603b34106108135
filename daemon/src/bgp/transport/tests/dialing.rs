use std::net::Ipv6Addr;

use tokio::net::TcpListener;

use super::*;

/// Hears everybody and answers nobody who has a key.
async fn without_keys() -> (TcpListener, IpAddr) {
    let at = address();
    (TcpListener::bind((at, PORT)).await.unwrap(), at)
}

fn never_answered(remote: IpAddr) -> Dialing {
    Dialing {
        key: key("secret"),
        ..dialing(address(), remote)
    }
}

#[tokio::test]
async fn a_peer_that_refuses_is_told() {
    let mut near = Transport::new();
    near.connect(PEER, dialing(address(), address()));
    assert!(failed(&mut near).await.contains("Connection refused"));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_told_in_time() {
    let (_listener, remote) = without_keys().await;
    let mut near = hasty();
    near.connect(PEER, never_answered(remote));
    assert!(
        failed(&mut near)
            .await
            .contains("did not answer within 0.4 s")
    );
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_named() {
    let mut near = Transport::new();
    near.connect(PEER, dialing("192.0.2.1".parse().unwrap(), address()));
    let why = failed(&mut near).await;
    assert!(
        why.contains("from 192.0.2.1") && why.contains("`source`"),
        "{why}"
    );
}

#[tokio::test]
async fn another_attempt_takes_the_place_of_one_under_way() {
    let (_listener, silent) = without_keys().await;
    let (_other_listener, remote) = without_keys().await;
    let mut near = hasty();
    near.connect(PEER, never_answered(silent));
    near.connect(PEER, dialing(address(), remote));
    connected(&mut near).await;
    // The first would have failed before this one.
    near.connect(PeerId(2), never_answered(silent));
    let event = next(&mut near).await;
    assert!(
        matches!(
            event,
            Event::ConnectFailed {
                peer: PeerId(2),
                ..
            }
        ),
        "{event:?}"
    );
}

#[tokio::test]
async fn an_attempt_that_is_done_and_not_yet_told_is_replaced_as_well() {
    let (_listener, remote) = without_keys().await;
    let mut near = Transport::new();
    near.connect(PEER, dialing(address(), address()));
    tokio::time::timeout(DEADLINE, async {
        while near.messages.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    near.connect(PEER, dialing(address(), remote));
    connected(&mut near).await;
}

#[tokio::test]
async fn nobody_hears_of_an_attempt_that_was_given_up() {
    let (listener, remote) = without_keys().await;
    let mut near = Transport::new();
    near.connect(PEER, dialing(address(), remote));
    near.give_up(PEER);
    nothing(&mut near).await;
    assert!(timeout(SHORT, listener.accept()).await.is_err());
}

#[tokio::test]
async fn nobody_hears_of_an_attempt_that_was_replaced() {
    let (listener, remote) = without_keys().await;
    let mut near = Transport::new();
    near.connect(PEER, dialing(address(), remote));
    near.connect(PEER, dialing(address(), address()));
    assert!(failed(&mut near).await.contains("refused"));
    assert!(timeout(SHORT, listener.accept()).await.is_err());
}

#[tokio::test]
async fn ipv6_is_connected_to_as_well() {
    let local = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let listener = TcpListener::bind((local, 0)).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let mut near = Transport::new();
    near.connect(
        PEER,
        Dialing {
            remote,
            ..dialing(local, local)
        },
    );
    connected(&mut near).await;
}
