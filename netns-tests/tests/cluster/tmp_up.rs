use lab::Stack;
use netns_tests::kubernetes::{Cluster, Plan};

#[test]
fn up() {
    let t = std::time::Instant::now();
    let cluster = Cluster::build(Plan {
        machines: 2,
        stack: Stack::V4,
        images: vec![],
    })
    .unwrap();
    eprintln!("built {:?}", t.elapsed());
    std::thread::sleep(std::time::Duration::from_secs(10));
    eprintln!(
        "{}",
        cluster
            .server
            .kubectl(&["get", "nodes,pods", "-A", "-o", "wide"])
            .unwrap()
    );
    eprintln!(
        "{}",
        cluster
            .server
            .kubectl(&["describe", "node", "node1"])
            .unwrap()
    );
    if std::env::var("HOLD").is_ok() {
        eprintln!(
            "{:?} {}",
            cluster.directory(),
            cluster.server.admin().display()
        );
        while std::path::Path::new("/tmp/hold-cluster").exists() {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }
}
