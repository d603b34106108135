//! A cluster: nodes on an underlay, and a directory for their files.

use crate::error::{LabError, Result};
use crate::{Etcd, EtcdOptions, Node, Shape, Stack, Underlay, leftovers};
use std::path::Path;
use tempfile::TempDir;

/// Hosts from this number on are etcd members.
const FIRST_MEMBER: u8 = 201;

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many nodes: 1 to 200.
    pub nodes: u8,
    /// How the underlay is wired. Nodes are dealt to its switches in turn.
    pub shape: Shape,
    /// The families of underlay and pods.
    pub stack: Stack,
}

/// Nodes on an underlay. All of it is gone when this value is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, `node1` first.
    pub nodes: Vec<Node>,
    /// The switches, and the router between them.
    pub underlay: Underlay,
    directory: TempDir,
}

impl Cluster {
    /// Builds it; no daemon runs in it yet.
    pub fn build(plan: Plan) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&leftovers::own_name("cluster-"))
            .tempdir()
            .map_err(LabError::system("make a temporary directory"))?;
        let underlay = Underlay::new(plan.shape, plan.stack)?;
        let nodes = (1..=plan.nodes)
            .map(|host| {
                Node::new(
                    &underlay,
                    (1 + (host - 1) % plan.shape.subnets(), host),
                    directory.path(),
                )
            })
            .collect::<Result<Vec<Node>>>()?;
        Ok(Self {
            nodes,
            underlay,
            directory,
        })
    }

    /// Where the files of all nodes are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves the files of the nodes on disk, for good: their reader removes them.
    pub fn keep_directory(&mut self) {
        self.directory.disable_cleanup(true);
        // Without the mark the next sweep takes the directory: an inconvenience, not a fault.
        let _ = std::fs::write(self.directory().join(leftovers::KEPT), "");
    }

    /// An etcd cluster of `members` on the underlay's first switch, each in a namespace of its own.
    pub fn etcd(&self, members: u8) -> Result<Etcd> {
        self.etcd_with(members, &EtcdOptions::default())
    }

    /// The same with options.
    pub fn etcd_with(&self, members: u8, options: &EtcdOptions) -> Result<Etcd> {
        Etcd::on_underlay(
            &self.underlay,
            FIRST_MEMBER..FIRST_MEMBER + members,
            &self.directory().join("etcd"),
            options,
        )
    }
}
