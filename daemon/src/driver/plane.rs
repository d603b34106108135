//! The agent with its kernel: what it asks of that is done here, whatever else goes on.

use std::pin::pin;
use std::time::Instant;

use kernel::{Carried, KernelError, Netlink, Reader, Worker};
use subnet_alloc::Block;
use tracing::warn;

use crate::agent::{Agent, Input, Output};
use crate::backend::Remote;
use crate::memory;
use crate::removal;

use super::words::Words;

pub(super) struct Plane {
    pub(super) agent: Agent,
    pub(super) reader: Reader,
    pub(super) worker: Worker,
}

/// What the agent asks of others than the kernel.
pub(super) enum Elsewhere {
    /// All links have been read.
    LinksRead,
    /// What has become of other nodes' leases, for whoever speaks BGP with them.
    Nodes(Vec<(Block, Option<Remote>)>),
    /// The operator is to be told.
    Say(Words),
}

impl Plane {
    pub(super) fn new(agent: Agent, kernel: Netlink) -> Result<Plane, KernelError> {
        let (reader, worker) = kernel.split()?;
        Ok(Plane {
            agent,
            reader,
            worker,
        })
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.agent.handle(input, Instant::now());
    }

    /// Takes in how changes went.
    pub(super) fn take(&mut self, carried: Carried) {
        let Carried { changes, refusals } = carried;
        self.tell(Input::Applied(changes, refusals));
    }

    /// Does what the agent asks of the kernel, up to the first thing that it asks of others.
    pub(super) fn work(&mut self) -> Result<Option<Elsewhere>, KernelError> {
        while let Some(output) = self.agent.poll_output(Instant::now()) {
            match output {
                Output::ReadLinks => {
                    let (links, addresses) = self.reader.links()?;
                    self.tell(Input::Links(links, addresses));
                    return Ok(Some(Elsewhere::LinksRead));
                }
                Output::Dump(interest) => {
                    let dump = self.reader.dump(&interest)?;
                    self.tell(Input::Dump(dump));
                    // It took as much as the tables do.
                    if self.agent.is_ready() {
                        memory::give_back();
                    }
                }
                Output::Apply(changes) => self.worker.submit(changes),
                Output::Nodes(leases) => return Ok(Some(Elsewhere::Nodes(leases))),
                Output::Notice(notice) => return Ok(Some(Elsewhere::Say(Words::Notice(notice)))),
                Output::Refused(refused) => {
                    return Ok(Some(Elsewhere::Say(Words::Refused(refused))));
                }
            }
        }
        Ok(None)
    }

    /// Takes away what was put for a node that will be none.
    pub(super) async fn take_back(&mut self, protocol: u8) -> Result<(), KernelError> {
        while self.worker.busy() > 0 {
            self.worker.next().await?;
        }
        for why in removal::remove(protocol, false)?.failed {
            warn!("{why}; `twill cleanup` tries again");
        }
        Ok(())
    }

    /// Works until something else is done.
    pub(super) async fn work_during<T>(
        &mut self,
        what: impl Future<Output = T>,
        mut elsewhere: impl FnMut(&Agent, Elsewhere),
    ) -> Result<T, KernelError> {
        let mut what = pin!(what);
        loop {
            while let Some(asked) = self.work()? {
                elsewhere(&self.agent, asked);
            }
            tokio::select! {
                biased;
                carried = self.worker.next() => self.take(carried?),
                done = &mut what => return Ok(done),
            }
        }
    }
}
