//! The allocator of the static program (`docs/decisions/0026-heap.md`).
//!
//! ```text
//! less than 1 MB   a heap of regions: what was freed is used again, and goes back to the kernel when `give_back` is called
//! from 1 MB on     musl's own allocator, which maps each block by itself, lets it grow in place and unmaps it
//! ```
//!
//! musl's allocator alone maps and unmaps blocks of a few pages one by one: a quarter of the time in which a node takes in
//! 5,000 leases went there.

// An allocator hands out memory: all of it is unsafe.
#![allow(unsafe_code)]

mod region;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rlsf::Tlsf;

use region::{Region, Regions};

/// Blocks from this size on are mapped by themselves.
const LARGE: usize = 1 << 20;

/// An allocator for [`global_allocator`](https://doc.rust-lang.org/std/alloc/trait.GlobalAlloc.html).
#[derive(Debug)]
pub struct Heap(Mutex<Blocks>);

struct Blocks {
    /// Holes by size: 24 powers of two from 32 bytes on, in 32 steps each.
    holes: Tlsf<'static, u32, u32, 24, 32>,
    regions: Regions,
}

impl Heap {
    /// Nothing is mapped before the first block is asked for.
    pub const fn new() -> Heap {
        Heap(Mutex::new(Blocks {
            holes: Tlsf::new(),
            regions: Regions::none(),
        }))
    }

    /// Gives the pages back to the kernel in which there is nothing. It looks at each block of the heap.
    pub fn give_back(&self) {
        let blocks = self.blocks();
        for pool in blocks.regions.pools() {
            // SAFETY: the pool is what `insert_free_block_ptr` took, and the heap is locked.
            let there = unsafe { blocks.holes.iter_blocks(pool) };
            for hole in there.filter(|block| !block.is_occupied()) {
                // SAFETY: the hole is in use by nobody but the list of holes, whose links are in its header.
                unsafe { region::give_back(hole.as_ptr()) };
            }
        }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

impl Blocks {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let block = self.holes.allocate(layout);
        block.or_else(|| self.grow()?.holes.allocate(layout))
    }

    /// As `GlobalAlloc::realloc`.
    unsafe fn reallocate(&mut self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller's.
        if let Some(block) = unsafe { self.holes.reallocate(block, layout) } {
            return Some(block);
        }
        // SAFETY: the caller's; a block that could not be moved is where it was.
        unsafe { self.grow()?.holes.reallocate(block, layout) }
    }

    fn grow(&mut self) -> Option<&mut Blocks> {
        let region = Region::map()?;
        // SAFETY: nobody else knows the region, and it is never unmapped.
        let taken = unsafe { self.holes.insert_free_block_ptr(region.pool()) }?;
        self.regions.add(region, taken);
        Some(self)
    }
}

// SAFETY: blocks come from `Tlsf`, behind a lock, or from `System`; which of them a block is from is told by its size alone.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            // SAFETY: the caller's.
            return unsafe { System.alloc(layout) };
        }
        let block = self.blocks().allocate(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            // SAFETY: the caller's, and it was `System` that gave it.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: the caller's: it is no null, and was given by `alloc` or `realloc` with this alignment.
        unsafe {
            let block = NonNull::new_unchecked(block);
            self.blocks().holes.deallocate(block, layout.align());
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            // SAFETY: the caller's.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's; what was given has this size.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                ptr::write_bytes(block, 0, layout.size());
            }
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's: size and alignment make a layout, the block is no null and is as large as `layout` says.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (layout.size() >= LARGE, size >= LARGE) {
                (true, true) => System.realloc(block, layout, size),
                (false, false) => {
                    let moved = self
                        .blocks()
                        .reallocate(NonNull::new_unchecked(block), wanted);
                    moved.map_or(ptr::null_mut(), NonNull::as_ptr)
                }
                _ => {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
