//! Measures the etcd store against an etcd on `127.0.0.1:2379` (or the URL given): listing, put to event, fresh start.
//! Writes and deletes below `/twill-measure`; run it against an etcd of your own.
//!
//! `cargo run --release -p subnet-alloc --example measure -- http://127.0.0.1:2379`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use etcd_client::{Client, DeleteOptions, WatchOptions};
use subnet_alloc::{
    Claimant, EtcdOptions, EtcdStore, Identity, LeaseAttrs, LeaseStore, NetworkConfig, Watch,
    acquire,
};

const PREFIX: &str = "/twill-measure";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args()
        .nth(1)
        .unwrap_or("http://127.0.0.1:2379".to_owned());
    let mut client = Client::connect([&url], None).await.unwrap();
    let options = EtcdOptions {
        endpoints: vec![url],
        prefix: PREFIX.to_owned(),
        ..EtcdOptions::default()
    };
    clear(&mut client).await;
    client
        .put(
            format!("{PREFIX}/config"),
            r#"{"Network":"10.0.0.0/8"}"#,
            None,
        )
        .await
        .unwrap();
    start(&options).await;
    latency(&options, &mut client).await;
    let mut there = 0;
    for count in [5_000, 20_000] {
        fill(&mut client, there..count).await;
        there = count;
        listing(&options, count).await;
    }
    clear(&mut client).await;
}

fn value() -> Vec<u8> {
    br#"{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}"#.to_vec()
}

async fn clear(client: &mut Client) {
    client
        .delete(PREFIX, Some(DeleteOptions::new().with_prefix()))
        .await
        .unwrap();
}

async fn fill(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let key = format!(
            "{PREFIX}/subnets/{}-24",
            std::net::Ipv4Addr::from(0x0a00_0000 | (number + 1) << 8)
        );
        client.put(key, value(), None).await.unwrap();
    }
}

async fn start(options: &EtcdOptions) {
    let began = Instant::now();
    let store = EtcdStore::open(options).unwrap();
    let listing = store.list().await.unwrap();
    let listed = began.elapsed();
    let config = NetworkConfig::parse(listing.config.as_deref().unwrap()).unwrap();
    let underlay_v4 = Some([192, 168, 0, 1].into());
    let claimant = Claimant {
        config: &config,
        identity: Identity {
            underlay_v4,
            ..Identity::default()
        },
        attrs: LeaseAttrs {
            underlay_v4,
            ..LeaseAttrs::default()
        },
        ttl: Duration::from_secs(86400),
    };
    let acquired = acquire(&store, &claimant, listing, &mut || 7)
        .await
        .unwrap();
    println!(
        "fresh start: connect + config + list {listed:?}, with claim {:?} ({:?})",
        began.elapsed(),
        acquired.how
    );
}

async fn listing(options: &EtcdOptions, count: u32) {
    let mut times = Vec::new();
    for _ in 0..7 {
        let store = EtcdStore::open(options).unwrap();
        let began = Instant::now();
        let listing = store.list().await.unwrap();
        times.push(began.elapsed());
        assert!(listing.leases.len() >= count as usize);
    }
    times.sort();
    println!(
        "listing of {count}: median {:?}, best {:?}",
        times[3], times[0]
    );
}

/// One put at a time, its event awaited by our watch and, beside it, by a plain one of etcd-client.
async fn latency(options: &EtcdOptions, client: &mut Client) {
    let store = EtcdStore::open(options).unwrap();
    let after = store.list().await.unwrap().revision;
    let mut ours = store.watch(after).await.unwrap();
    let with_prefix = WatchOptions::new().with_prefix();
    let mut plain = client
        .watch(format!("{PREFIX}/subnets/"), Some(with_prefix))
        .await
        .unwrap();
    plain.message().await.unwrap();
    let key = format!("{PREFIX}/subnets/10.255.255.0-24");
    let (mut by_us, mut by_plain) = (Vec::new(), Vec::new());
    for _ in 0..5000 {
        let began = Instant::now();
        let put = client.put(key.clone(), value(), None);
        let event = async { ours.next().await.map(|_| began.elapsed()) };
        let message = async { plain.message().await.map(|_| began.elapsed()) };
        let (put, event, message) = tokio::join!(put, event, message);
        put.unwrap();
        by_us.push(event.unwrap());
        by_plain.push(message.unwrap());
    }
    for (name, mut times) in [("our watch", by_us), ("plain etcd-client", by_plain)] {
        times.sort();
        println!(
            "put to event, {name}: p50 {:?}, p99 {:?}",
            times[2500], times[4950]
        );
    }
}
