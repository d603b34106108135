use crate::scene;
use lab::Stack;
use netns_tests::kubernetes::{Cluster, Plan};

#[test]
fn up() {
    let t = std::time::Instant::now();
    let cluster = Cluster::build(Plan { machines: 2, stack: Stack::V4, images: vec![scene::image()] }).unwrap();
    eprintln!("built {:?}", t.elapsed());
    cluster.apply(&scene::chart("vxlan", Stack::V4)).unwrap();
    eprintln!("{:?}", cluster.server.kubectl(&["wait", "--for=condition=Ready", "node/node1", "node/node2", "--timeout=40s"]));
    eprintln!("ready {:?}", t.elapsed());
    eprintln!("{}", cluster.server.kubectl(&["get", "nodes,pods", "-A", "-o", "wide"]).unwrap());
    eprintln!("{}", cluster.server.kubectl(&["logs", "-n", "kube-system", "daemonset/twill"]).unwrap());
    if std::env::var("HOLD").is_ok() {
        eprintln!("{:?} {}", cluster.directory(), cluster.server.admin().display());
        while std::path::Path::new("/tmp/hold-cluster").exists() { std::thread::sleep(std::time::Duration::from_secs(1)); }
    }
}
