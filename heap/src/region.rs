//! Memory from the kernel: regions that it fills page by page as they are touched.

use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

/// Bytes of a region. What nobody touches costs address space alone.
const SIZE: usize = 64 << 20;
/// Where address space is short (`ulimit -v`).
const SMALL: usize = 4 << 20;
/// Bytes at the start of a region that say which one was mapped before it.
const HEAD: usize = 64;
/// The start of a hole is the list's: its size, its neighbour and the links to other holes.
const LINKS: usize = 64;

/// All regions. They are never unmapped.
pub(crate) struct Regions {
    last: Option<NonNull<Head>>,
}

struct Head {
    before: Option<NonNull<Head>>,
    pool: NonNull<[u8]>,
}

// SAFETY: the heads are touched through this only.
unsafe impl Send for Regions {}

/// A region that nobody knows yet.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    start: NonNull<u8>,
    size: usize,
}

impl Region {
    /// A new one; nothing when the kernel gives no more.
    pub(crate) fn map() -> Option<Region> {
        let region = |size| map(size).map(|start| Region { start, size });
        region(SIZE).or_else(|| region(SMALL))
    }

    /// What is there for blocks.
    pub(crate) fn pool(self) -> NonNull<[u8]> {
        // SAFETY: a region is larger than its head.
        let start = unsafe { self.start.add(HEAD) };
        NonNull::slice_from_raw_parts(start, self.size - HEAD)
    }
}

impl Regions {
    pub(crate) const fn none() -> Regions {
        Regions { last: None }
    }

    /// Keeps the region, of whose pool this much is used for blocks.
    pub(crate) fn add(&mut self, region: Region, taken: NonZeroUsize) {
        let pool = NonNull::slice_from_raw_parts(region.pool().cast(), taken.get());
        let head = region.start.cast::<Head>();
        let before = self.last;
        // SAFETY: it is the first `HEAD` bytes of the region, which are nobody else's.
        unsafe { head.write(Head { before, pool }) };
        self.last = Some(head);
    }

    /// The pools of all regions.
    pub(crate) fn pools(&self) -> impl Iterator<Item = NonNull<[u8]>> {
        // SAFETY: each head was written by `add` and stays.
        let read = |head: NonNull<Head>| unsafe { head.as_ref() };
        let mut next = self.last.map(read);
        std::iter::from_fn(move || {
            let head = next?;
            next = head.before.map(read);
            Some(head.pool)
        })
    }
}

/// Gives back the pages that lie in a hole as a whole.
///
/// # Safety
///
/// Nobody may use the hole but the list of holes.
pub(crate) unsafe fn give_back(hole: NonNull<[u8]>) {
    let start = hole.cast::<u8>().as_ptr();
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).unwrap_or(64 << 10);
    let first = (start.addr() + LINKS).next_multiple_of(page);
    let end = (start.addr() + hole.len()) / page * page;
    if first < end {
        // SAFETY: the pages are in the region, and what was in them is needed by nobody.
        unsafe {
            libc::madvise(
                start.with_addr(first).cast(),
                end - first,
                libc::MADV_DONTNEED,
            )
        };
    }
}

fn map(size: usize) -> Option<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: it is new, and no memory that is in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    // A page of 2 MB for some bytes is more than we are worth.
    // SAFETY: says how the new region is to be filled.
    unsafe { libc::madvise(start, size, libc::MADV_NOHUGEPAGE) };
    NonNull::new(start.cast())
}
