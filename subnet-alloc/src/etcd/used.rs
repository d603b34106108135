//! The records of used blocks: `<prefix>/used/<key of one family>`, without an etcd lease.

use etcd_client::{Client, Error, GetOptions, GetResponse, KeyValue, PutOptions, Txn, TxnOp};

use crate::block::Block;
use crate::history::{History, Use, record, record_keys};
use crate::lease::LeaseAttrs;
use crate::store::StoreError;

use super::endpoints::Endpoints;
use super::keys::{Keys, end_of, revision};
use super::list::LARGEST_ANSWER;

/// Records in one page: about half a megabyte.
const PAGE: i64 = 5000;

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
    let (mut uses, mut begin) = (Vec::new(), keys.all_used().as_bytes().to_vec());
    let end = end_of(keys.all_used());
    loop {
        let call = |client: Client| {
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            let begin = begin.clone();
            let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
            async move { kv.get(begin, Some(options)).await as Result<_, Error> }
        };
        let page: GetResponse = endpoints.call(call).await?;
        uses.extend(page.kvs().iter().filter_map(|kv| read(keys, kv)));
        match page.kvs().last().filter(|_| page.more()) {
            Some(last) => begin = [last.key(), b"\0"].concat(),
            None => return Ok(History::new(uses)),
        }
    }
}

fn read(keys: &Keys, kv: &KeyValue) -> Option<Use> {
    let key = kv.key().strip_prefix(keys.all_used().as_bytes())?;
    let key = std::str::from_utf8(key).ok()?;
    Use::read(key, kv.value(), revision(kv.mod_revision()))
}
