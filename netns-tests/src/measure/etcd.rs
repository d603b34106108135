//! A client of etcd that is fast enough to set a stage: many puts in a transaction.

use super::synthetic::Peers;
use crate::PREFIX;
use etcd_client::{Client, Error, GetOptions, PutOptions, Txn, TxnOp, WatchOptions, WatchStream};
use lab::{LabError, Namespace};
use std::ops::Range;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Puts in one transaction; etcd must be started with `--max-txn-ops` of at least this.
const PUTS_PER_TXN: usize = 1_000;

/// A client with a runtime of its own. Its sockets are made by the thread that uses it: use it inside the namespace.
pub struct EtcdClient {
    runtime: Runtime,
    client: Client,
    lease: i64,
}

impl EtcdClient {
    /// The arguments that etcd needs for this client.
    pub fn etcd_arguments() -> Vec<String> {
        vec![format!("--max-txn-ops={PUTS_PER_TXN}")]
    }

    /// Does `work` with a client of the etcd at 127.0.0.1:2379 of `namespace`.
    pub fn within<T: Send>(
        namespace: &Namespace,
        work: impl FnOnce(&mut Self) -> Result<T, Error> + Send,
    ) -> Result<T, LabError> {
        let done = namespace.run(|| Self::connect().and_then(|mut client| work(&mut client)))?;
        done.map_err(|error| LabError::System {
            what: "use etcd".into(),
            source: std::io::Error::other(error),
        })
    }

    fn connect() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (client, lease) = runtime.block_on(async {
            let mut client = Client::connect(["127.0.0.1:2379"], None).await?;
            let lease = client.lease_grant(86_400, None).await?.id();
            Ok::<_, Error>((client, lease))
        })?;
        Ok(Self {
            runtime,
            client,
            lease,
        })
    }

    /// Puts the leases of these peers.
    pub fn put(&mut self, peers: Peers, numbers: Range<u32>) -> Result<(), Error> {
        let lease = self.lease;
        self.in_transactions(numbers, |number| {
            TxnOp::put(
                peers.key(number),
                peers.value(number),
                Some(PutOptions::new().with_lease(lease)),
            )
        })
    }

    /// Deletes them.
    pub fn delete(&mut self, peers: Peers, numbers: Range<u32>) -> Result<(), Error> {
        self.in_transactions(numbers, |number| TxnOp::delete(peers.key(number), None))
    }

    /// Lists all leases in one request; returns their number and the time that it took.
    pub fn list(&mut self) -> Result<(usize, Duration), Error> {
        let start = Instant::now();
        let options = GetOptions::new().with_prefix();
        let listing = self
            .runtime
            .block_on(self.client.get(format!("{PREFIX}/subnets/"), Some(options)))?;
        Ok((listing.kvs().len(), start.elapsed()))
    }

    /// Watches all leases.
    pub fn watch(&mut self) -> Result<WatchStream, Error> {
        let options = WatchOptions::new().with_prefix();
        self.runtime.block_on(async {
            let mut stream = self
                .client
                .watch(format!("{PREFIX}/subnets/"), Some(options))
                .await?;
            // The first message confirms that the watch exists.
            stream.message().await?;
            Ok(stream)
        })
    }

    /// Puts one lease and waits until the watch tells it; returns when it was sent and when it came.
    pub fn put_and_see(
        &mut self,
        watch: &mut WatchStream,
        peers: Peers,
        number: u32,
    ) -> Result<(Instant, Instant), Error> {
        let (key, value) = (peers.key(number), peers.value(number));
        self.runtime.block_on(async {
            let sent = Instant::now();
            let put = self.client.put(key, value, None);
            let seen = async {
                watch.message().await?;
                Ok::<_, Error>(Instant::now())
            };
            let (put, seen) = tokio::join!(put, seen);
            put?;
            Ok((sent, seen?))
        })
    }

    /// Deletes one lease and waits until the watch tells it.
    pub fn delete_and_see(
        &mut self,
        watch: &mut WatchStream,
        peers: Peers,
        number: u32,
    ) -> Result<(), Error> {
        self.runtime.block_on(async {
            self.client.delete(peers.key(number), None).await?;
            watch.message().await.map(drop)
        })
    }

    fn in_transactions(
        &mut self,
        numbers: Range<u32>,
        op: impl Fn(u32) -> TxnOp,
    ) -> Result<(), Error> {
        let ops: Vec<TxnOp> = numbers.map(op).collect();
        self.runtime.block_on(async {
            for chunk in ops.chunks(PUTS_PER_TXN) {
                self.client.txn(Txn::new().and_then(chunk)).await?;
            }
            Ok(())
        })
    }
}
