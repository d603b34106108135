//! The records of used blocks: `<prefix>/used/<key of one family>`, without an etcd lease.

use etcd_client::{Client, Error, GetOptions, GetResponse, KeyValue, PutOptions, Txn, TxnOp};

use crate::block::Block;
use crate::history::{History, Use, record, record_keys};
use crate::lease::LeaseAttrs;
use crate::store::StoreError;

use super::endpoints::Endpoints;
use super::error::is_too_large;
use super::keys::{Keys, end_of, revision};
use super::list::LARGEST_ANSWER;

/// Records in one page: about half a megabyte. Halved when an answer is larger than [`LARGEST_ANSWER`].
const PAGE: i64 = 5000;
/// More records than any pool of nodes has blocks are not read; what is behind them counts as never used.
const MOST: usize = 200_000;

/// The writes that say that these blocks are in use.
pub(super) fn puts<'a>(
    keys: &Keys,
    blocks: impl IntoIterator<Item = &'a Block>,
    attrs: &LeaseAttrs,
) -> Vec<TxnOp> {
    let text = record(attrs);
    let put = |key: String| TxnOp::put(keys.used(&key), text.clone(), None::<PutOptions>);
    record_keys(blocks).into_iter().map(put).collect()
}

pub(super) async fn touch(
    endpoints: &Endpoints,
    keys: &Keys,
    (block, attrs): (&Block, &LeaseAttrs),
) -> Result<(), StoreError> {
    let txn = Txn::new().and_then(puts(keys, [block], attrs));
    let call = |mut client: Client| {
        let txn = txn.clone();
        async move { client.txn(txn).await }
    };
    endpoints.call(call).await.map(drop)
}

/// Page by page; only what a decision needs is kept.
pub(super) async fn history(endpoints: &Endpoints, keys: &Keys) -> Result<History, StoreError> {
    let (mut uses, mut page) = (Vec::new(), PAGE);
    let mut begin = keys.all_used().as_bytes().to_vec();
    while uses.len() < MOST {
        let answer = match get(endpoints, keys, (&begin, page)).await {
            Err(error) if is_too_large(&error) && page > 1 => {
                page /= 2;
                continue;
            }
            answer => answer?,
        };
        uses.extend(answer.kvs().iter().filter_map(|kv| read(keys, kv)));
        match answer.kvs().last().filter(|_| answer.more()) {
            Some(last) => begin = [last.key(), b"\0"].concat(),
            None => break,
        }
    }
    Ok(History::new(uses))
}

async fn get(
    endpoints: &Endpoints,
    keys: &Keys,
    (begin, count): (&[u8], i64),
) -> Result<GetResponse, StoreError> {
    let end = end_of(keys.all_used());
    let call = |client: Client| {
        let options = GetOptions::new().with_range(end.clone()).with_limit(count);
        let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
        async move { kv.get(begin, Some(options)).await as Result<_, Error> }
    };
    endpoints.call(call).await
}

fn read(keys: &Keys, kv: &KeyValue) -> Option<Use> {
    let key = kv.key().strip_prefix(keys.all_used().as_bytes())?;
    let key = std::str::from_utf8(key).ok()?;
    Use::read(key, kv.value(), revision(kv.mod_revision()))
}
