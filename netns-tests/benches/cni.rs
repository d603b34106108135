//! How long an ADD takes: twill-cni beside Debian's bridge with host-local, pod by pod in turn, and whether it stays so
//! while a node fills up.
//!
//! Bars: at most a quarter of the reference's median; 250 pods cost no more than the first.

use lab::{LabError, Namespace};
use netns_tests::measure::{Table, milliseconds, percentile, say};
use netns_tests::{Call, DEBIAN_PLUGINS, PluginNode, twill_cni};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PODS: usize = 250;
const GROUP: usize = 50;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("WRONG: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A plugin with the config that it needs on its node.
struct Contender {
    name: &'static str,
    plugin: std::path::PathBuf,
    node: PluginNode,
    config: Value,
}

fn measure() -> Result<(), LabError> {
    let contenders = [
        twill("twill-cni", None)?,
        twill("twill-cni, dual", Some("fd00:244:0:50::1/64"))?,
        bridge()?,
    ];
    say(&format!(
        "ADD and DEL of {PODS} pods, in turn; ADD by groups of {GROUP}"
    ));
    let table = Table::new(&[
        "       plugin",
        "ADD p50",
        "ADD p99",
        "pods 1-50",
        "pods 201-250",
        "DEL p50",
    ]);
    let mut pods = Vec::new();
    let mut adds = contenders.each_ref().map(|_| Vec::new());
    for number in 0..PODS {
        for (contender, adds) in contenders.iter().zip(&mut adds) {
            let pod = Namespace::new("pod")?;
            adds.push(contender.time("ADD", number, &pod)?);
            pods.push(pod);
        }
    }
    for (at, (contender, mut adds)) in contenders.iter().zip(adds).enumerate() {
        let first = percentile(&mut adds[..GROUP].to_vec(), 50);
        let last = percentile(&mut adds[PODS - GROUP..].to_vec(), 50);
        let own = pods.iter().skip(at).step_by(contenders.len()).enumerate();
        let dels = own.map(|(number, pod)| contender.time("DEL", number, pod));
        let mut dels = dels.collect::<Result<Vec<Duration>, LabError>>()?;
        let times = [
            percentile(&mut adds, 50),
            percentile(&mut adds, 99),
            first,
            last,
            percentile(&mut dels, 50),
        ];
        let mut cells = vec![contender.name.to_owned()];
        cells.extend(times.map(milliseconds));
        table.row(&cells);
    }
    Ok(())
}

fn twill(name: &'static str, v6: Option<&str>) -> Result<Contender, LabError> {
    let node = PluginNode::new(Some("10.244.72.1/24"), v6)?;
    Ok(Contender {
        name,
        plugin: twill_cni(),
        config: node.config("1.0.0", &Value::Null),
        node,
    })
}

fn bridge() -> Result<Contender, LabError> {
    let node = PluginNode::new(Some("10.244.72.1/24"), None)?;
    let ipam = json!({ "type": "host-local", "dataDir": node.state(), "ranges": [[{ "subnet": "10.244.72.0/24" }]] });
    let config = json!({
        "cniVersion": "1.0.0", "name": "cbr0", "type": "bridge", "bridge": "cni0", "mtu": 1450,
        "isDefaultGateway": true, "hairpinMode": true, "ipam": ipam,
    });
    Ok(Contender {
        name: "bridge + host-local",
        plugin: Path::new(DEBIAN_PLUGINS).join("bridge"),
        node,
        config,
    })
}

impl Contender {
    fn time(&self, command: &str, number: usize, pod: &Namespace) -> Result<Duration, LabError> {
        let call = Call {
            plugin: self.plugin.clone(),
            command,
            container: &format!("c{number}"),
            netns: pod.path(),
            args: "",
            config: self.config.clone(),
        };
        let start = Instant::now();
        let said = call.run(&self.node.namespace);
        let time = start.elapsed();
        if said.success {
            return Ok(time);
        }
        Err(LabError::Malformed {
            what: format!("{command} by {}", self.name),
            text: said.json.to_string(),
        })
    }
}
