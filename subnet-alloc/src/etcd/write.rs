//! Every change: one transaction that compares what we know with what is there.
//!
//! A call that failed half-way may have been carried out, and is repeated at the next endpoint. So when a comparison
//! fails because our own write is already there, that counts as success.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};

use crate::block::Block;
use crate::lease::{Hold, Lease, LeaseAttrs, LeaseId, Revision};
use crate::store::{Claim, Publish, Replace, StoreError};

use super::EtcdStore;
use super::guard::{Guard, ask_for_conflicts, conflict};
use super::keys::revision;
use super::list::LARGEST_ANSWER;
use super::used;

/// What is to be written.
pub(super) struct New<'a> {
    pub(super) block: &'a Block,
    pub(super) attrs: &'a LeaseAttrs,
}

/// What a transaction did or found.
enum Answer {
    Done {
        revision: Revision,
        all_keys: Vec<KeyValue>,
    },
    /// A comparison failed; these are the keys that were asked for in that case.
    Refused(Vec<Vec<KeyValue>>),
}

pub(super) async fn claim(
    store: &EtcdStore,
    block: &Block,
    attrs: &LeaseAttrs,
    ttl: Duration,
) -> Result<Claim, StoreError> {
    let new = New { block, attrs };
    let id = store.grant(ttl).await?;
    let hold = Hold::Leased(id);
    let guard = Guard::new(&store.keys, block);
    let mut writes = vec![put(store, &new, hold)];
    writes.extend(used::puts(&store.keys, [block], attrs));
    writes.extend(ask_for_conflicts(&store.keys, block));
    let txn = Txn::new()
        .when(guard.conditions())
        .and_then(writes)
        .or_else(guard.holders().collect::<Vec<_>>());
    let by = match run(store, txn).await? {
        Answer::Done { revision, all_keys } => {
            let lease = new.lease(hold, revision);
            match conflict(&store.keys, block, &all_keys) {
                None => return Ok(Claim::Won(lease)),
                Some(older) => {
                    delete(store, &lease).await?;
                    return Ok(Claim::Taken(older));
                }
            }
        }
        Answer::Refused(found) => guard.holder(&found.concat()),
    };
    if by.hold == hold {
        return Ok(Claim::Won(by));
    }
    store.revoke(id).await;
    Ok(Claim::Taken(by))
}

pub(super) async fn publish(
    store: &EtcdStore,
    lease: &Lease,
    attrs: &LeaseAttrs,
    ttl: Duration,
) -> Result<Publish, StoreError> {
    let new = New {
        block: &lease.block,
        attrs,
    };
    let hold = store.hold_for(lease.hold, ttl).await?;
    let mut writes = vec![put(store, &new, hold)];
    writes.extend(used::puts(&store.keys, [new.block], attrs));
    let txn = Txn::new()
        .when(unchanged(store, lease))
        .and_then(writes)
        .or_else([TxnOp::get(store.keys.block(&lease.block), None)]);
    let found = match run(store, txn).await? {
        Answer::Done { revision, .. } => return Ok(Publish::Done(new.lease(hold, revision))),
        Answer::Refused(found) => found.concat(),
    };
    let held = found
        .first()
        .and_then(|kv| store.keys.entry(kv).into_lease());
    match held {
        Some(held) if held.hold == hold && held.attrs == *attrs => Ok(Publish::Done(held)),
        held => {
            revoke_new(store, hold, lease.hold).await;
            Ok(Publish::Lost { held })
        }
    }
}

pub(super) async fn replace(
    store: &EtcdStore,
    old: &Lease,
    new: &New<'_>,
    ttl: Duration,
) -> Result<Replace, StoreError> {
    let hold = store.hold_for(old.hold, ttl).await?;
    let replaced = swap(store, old, new, hold).await?;
    if !matches!(replaced, Replace::Done(_)) {
        revoke_new(store, hold, old.hold).await;
    }
    Ok(replaced)
}

/// Says so, then deletes, so that watchers can tell a release from an expiry. An etcd without room can only delete.
pub(super) async fn release(store: &EtcdStore, lease: &Lease) -> Result<bool, StoreError> {
    let (block, attrs) = (&lease.block, &lease.attrs.clone().release());
    let new = New { block, attrs };
    let mut writes = vec![put(store, &new, lease.hold)];
    writes.extend(used::puts(&store.keys, [block], attrs));
    let txn = Txn::new()
        .when(unchanged(store, lease))
        .and_then(writes)
        .or_else([TxnOp::get(store.keys.block(block), None)]);
    let answer = match run(store, txn).await {
        Err(StoreError::NoSpace { .. }) => return delete(store, lease).await,
        answer => answer?,
    };
    let said = match answer {
        Answer::Done { revision, .. } => new.lease(lease.hold, revision),
        Answer::Refused(found) => {
            let found = found.concat();
            let held = found.first().map(|kv| store.keys.entry(kv).into_lease());
            match held.flatten() {
                Some(held) if held.hold == lease.hold && held.attrs == *attrs => held,
                _ => return Ok(false),
            }
        }
    };
    // When it is gone already, an earlier attempt did that.
    delete(store, &said).await?;
    Ok(true)
}

/// Deletes an own key and its etcd lease; `false` when it is not there as it was.
async fn delete(store: &EtcdStore, lease: &Lease) -> Result<bool, StoreError> {
    let txn = Txn::new()
        .when(unchanged(store, lease))
        .and_then([TxnOp::delete(store.keys.block(&lease.block), None)]);
    let is_ours = matches!(run(store, txn).await?, Answer::Done { .. });
    if let (true, Hold::Leased(id)) = (is_ours, lease.hold) {
        store.revoke(id).await;
    }
    Ok(is_ours)
}

async fn swap(
    store: &EtcdStore,
    old: &Lease,
    new: &New<'_>,
    hold: Hold,
) -> Result<Replace, StoreError> {
    let old_key = store.keys.block(&old.block);
    let guard = Guard::new(&store.keys, new.block).except(old_key.clone());
    let mut writes = vec![put(store, new, hold), TxnOp::delete(old_key.clone(), None)];
    writes.extend(used::puts(&store.keys, [&old.block, new.block], new.attrs));
    writes.extend(ask_for_conflicts(&store.keys, new.block));
    let mut conditions = guard.conditions();
    conditions.extend(unchanged(store, old));
    let txn = Txn::new().when(conditions).and_then(writes).or_else(
        std::iter::once(TxnOp::get(old_key, None))
            .chain(guard.holders())
            .collect::<Vec<_>>(),
    );
    let found = match run(store, txn).await? {
        Answer::Done { revision, all_keys } => {
            let lease = new.lease(hold, revision);
            return match conflict(&store.keys, new.block, &all_keys) {
                None => Ok(Replace::Done(lease)),
                Some(older) => swap_back(store, old, &lease)
                    .await
                    .map(|()| Replace::Taken(older)),
            };
        }
        Answer::Refused(found) => found,
    };
    let is_unchanged = found.first().is_some_and(|old_now| {
        old_now
            .first()
            .is_some_and(|kv| revision(kv.mod_revision()) == old.revision)
    });
    let holder = guard.holder(&found.get(1..).unwrap_or_default().concat());
    Ok(if is_unchanged {
        Replace::Taken(holder)
    } else if holder.block == *new.block && holder.hold == hold && holder.attrs == *new.attrs {
        Replace::Done(holder)
    } else {
        Replace::Lost
    })
}

async fn swap_back(store: &EtcdStore, old: &Lease, lease: &Lease) -> Result<(), StoreError> {
    let before = New {
        block: &old.block,
        attrs: &old.attrs,
    };
    let txn = Txn::new().when(unchanged(store, lease)).and_then([
        put(store, &before, old.hold),
        TxnOp::delete(store.keys.block(&lease.block), None),
    ]);
    run(store, txn).await.map(drop)
}

impl New<'_> {
    fn lease(&self, hold: Hold, revision: Revision) -> Lease {
        let (block, attrs) = (*self.block, self.attrs.clone());
        Lease {
            block,
            attrs,
            hold,
            revision,
        }
    }
}

fn put(store: &EtcdStore, new: &New<'_>, hold: Hold) -> TxnOp {
    let options = match hold {
        Hold::Reserved | Hold::Given => None,
        Hold::Leased(LeaseId(id)) => Some(PutOptions::new().with_lease(id)),
    };
    TxnOp::put(store.keys.block(new.block), new.attrs.to_json(), options)
}

/// The etcd lease as well: an etcd that began anew may come to the same revision.
fn unchanged(store: &EtcdStore, lease: &Lease) -> [Compare; 2] {
    let key = store.keys.block(&lease.block);
    let revision = i64::try_from(lease.revision.0).unwrap_or(i64::MAX);
    let id = match lease.hold {
        Hold::Reserved | Hold::Given => 0,
        Hold::Leased(LeaseId(id)) => id,
    };
    [
        Compare::mod_revision(key.clone(), CompareOp::Equal, revision),
        Compare::lease(key, CompareOp::Equal, id),
    ]
}

async fn revoke_new(store: &EtcdStore, new: Hold, before: Hold) {
    if let (Hold::Leased(id), true) = (new, new != before) {
        store.revoke(id).await;
    }
}

async fn run(store: &EtcdStore, txn: Txn) -> Result<Answer, StoreError> {
    let call = |client: Client| {
        let txn = txn.clone();
        let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
        async move { kv.txn(txn).await }
    };
    let answer = store.endpoints.call(call).await?;
    let found = answer
        .op_responses()
        .into_iter()
        .filter_map(|part| match part {
            TxnOpResponse::Get(mut get) => Some(get.take_kvs()),
            _ => None,
        });
    Ok(if answer.succeeded() {
        Answer::Done {
            revision: revision(
                answer
                    .header()
                    .map_or(0, etcd_client::ResponseHeader::revision),
            ),
            all_keys: found.flatten().collect(),
        }
    } else {
        Answer::Refused(found.collect())
    })
}
