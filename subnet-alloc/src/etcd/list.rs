//! The complete listing: in pages, so that memory stays small, and all of one revision.

use etcd_client::{Client, Error, GetOptions, GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse};
use tokio::sync::mpsc;

use crate::lease::Revision;
use crate::store::{Listing, StoreError};

use super::endpoints::Endpoints;
use super::error::is_too_large;
use super::keys::{Keys, end_of, revision};

/// Keys in the first page: few, since whoever waits for the listing begins to work with them.
const FIRST_PAGE: i64 = 500;
/// Keys in the smallest page that follows: a quarter of a megabyte.
const SMALLEST_PAGE: i64 = 1000;
/// Keys in any page: about a megabyte.
const LARGEST_PAGE: i64 = 5000;
/// Pages that follow the first one, unless they would be smaller than [`SMALLEST_PAGE`] or larger than [`LARGEST_PAGE`]. Smaller
/// pages take less memory, but etcd walks the rest of the range for each, so that many make a long listing quadratic
/// (20,000 leases: 0.21 s in pages of 1,000, 0.10 s in pages of 5,000).
const FOLLOWING_PAGES: i64 = 3;
/// Bytes of one answer that we are willing to hold at once.
pub(super) const LARGEST_ANSWER: usize = 16 << 20;

/// Sends the config and all leases, page by page; a page is halved when it turns out to be larger than [`LARGEST_ANSWER`].
pub(super) async fn list(
    endpoints: &Endpoints,
    keys: &Keys,
    parts: &mpsc::Sender<Listing>,
) -> Result<(), StoreError> {
    let mut reader = Reader {
        endpoints,
        keys,
        page: FIRST_PAGE,
    };
    let (mut part, mut page) = reader.first().await?;
    let revision = part.revision;
    let following = (page.count - reader.page) / FOLLOWING_PAGES;
    reader.page = following.clamp(SMALLEST_PAGE, LARGEST_PAGE);
    loop {
        let Some(last) = page.kvs.last().filter(|_| page.more) else {
            add(&mut part, keys, &page.kvs);
            let _ = parts.send(part).await;
            return Ok(());
        };
        let next = reader.after(last.key(), revision);
        // The request is on its way before this page is read: etcd and we work at the same time.
        let (next, sent) = tokio::join!(next, async {
            tokio::task::yield_now().await;
            add(&mut part, keys, &page.kvs);
            parts.send(part).await
        });
        if sent.is_err() {
            return Ok(());
        }
        page = next?;
        part = Listing {
            revision,
            ..Listing::default()
        };
    }
}

struct Page {
    kvs: Vec<KeyValue>,
    more: bool,
    /// Keys in the whole range.
    count: i64,
}

struct Reader<'a> {
    endpoints: &'a Endpoints,
    keys: &'a Keys,
    page: i64,
}

impl Reader<'_> {
    /// The config and the first page in one transaction, which fixes the revision.
    async fn first(&mut self) -> Result<(Listing, Page), StoreError> {
        let (config, subnets) = (self.keys.config(), self.keys.subnets());
        let end = end_of(subnets);
        loop {
            let call = |client: Client| {
                let range = GetOptions::new()
                    .with_range(end.clone())
                    .with_limit(self.page);
                let both = [TxnOp::get(config, None), TxnOp::get(subnets, Some(range))];
                let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
                async move { kv.txn(Txn::new().and_then(both)).await }
            };
            let answer = match self.endpoints.call(call).await {
                Err(error) if self.can_halve(&error) => continue,
                answer => answer?,
            };
            let mut listing = Listing {
                revision: revision(
                    answer
                        .header()
                        .map_or(0, etcd_client::ResponseHeader::revision),
                ),
                ..Listing::default()
            };
            let mut parts = answer.op_responses().into_iter().filter_map(into_get);
            let config = parts.next().and_then(|mut part| part.take_kvs().pop());
            listing.config = config.map(|kv| kv.into_key_value().1);
            let page = parts.next().map_or(
                Page {
                    kvs: Vec::new(),
                    more: false,
                    count: 0,
                },
                Page::from,
            );
            return Ok((listing, page));
        }
    }

    async fn after(&mut self, last: &[u8], revision: Revision) -> Result<Page, StoreError> {
        let begin = [last, b"\0"].concat();
        let end = end_of(self.keys.subnets());
        let at = i64::try_from(revision.0).unwrap_or(0);
        loop {
            let call = |client: Client| {
                let options = GetOptions::new()
                    .with_range(end.clone())
                    .with_limit(self.page);
                let (begin, options) = (begin.clone(), options.with_revision(at));
                let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
                async move { kv.get(begin, Some(options)).await.map(Page::from) as Result<_, Error> }
            };
            match self.endpoints.call(call).await {
                Err(error) if self.can_halve(&error) => {}
                answer => return answer,
            }
        }
    }

    fn can_halve(&mut self, error: &StoreError) -> bool {
        let can = is_too_large(error) && self.page > 1;
        if can {
            self.page /= 2;
        }
        can
    }
}

impl From<GetResponse> for Page {
    fn from(mut answer: GetResponse) -> Self {
        Page {
            more: answer.more(),
            count: answer.count(),
            kvs: answer.take_kvs(),
        }
    }
}

fn add(listing: &mut Listing, keys: &Keys, kvs: &[KeyValue]) {
    listing.leases.reserve_exact(kvs.len());
    for kv in kvs {
        listing.add(keys.entry(kv));
    }
}

fn into_get(part: TxnOpResponse) -> Option<GetResponse> {
    match part {
        TxnOpResponse::Get(get) => Some(get),
        _ => None,
    }
}
