use std::alloc::{GlobalAlloc, Layout};
use std::thread;

use proptest::prelude::*;

use super::{Heap, LARGE};

/// A block that knows what is in it.
struct Filled {
    start: *mut u8,
    layout: Layout,
    seed: u8,
}

impl Filled {
    fn new(heap: &Heap, size: usize, align: usize, seed: u8) -> Filled {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not 0.
        let start = unsafe { heap.alloc(layout) };
        assert!(!start.is_null() && start.addr().is_multiple_of(align));
        let mut block = Filled {
            start,
            layout,
            seed,
        };
        block.fill();
        block
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is ours and has this size; it was filled when it was given.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }

    fn fill(&mut self) {
        let seed = self.seed;
        for (at, byte) in self.bytes().iter_mut().enumerate() {
            *byte = seed.wrapping_add(at as u8);
        }
    }

    fn holds(&mut self, size: usize) -> bool {
        let seed = self.seed;
        let bytes = self.bytes().iter().take(size).enumerate();
        bytes
            .into_iter()
            .all(|(at, byte)| *byte == seed.wrapping_add(at as u8))
    }

    fn resize(&mut self, heap: &Heap, size: usize) -> bool {
        let before = self.layout.size();
        // SAFETY: the block was given with this layout.
        self.start = unsafe { heap.realloc(self.start, self.layout, size) };
        assert!(!self.start.is_null());
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        let kept = self.holds(before.min(size));
        self.fill();
        kept
    }

    fn free(self, heap: &Heap) {
        // SAFETY: the block was given with this layout.
        unsafe { heap.dealloc(self.start, self.layout) };
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize, u32),
    Resize(usize, usize),
    Free(usize),
    GiveBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || prop_oneof![8 => 1..200_usize, 4 => 1..20_000_usize, 1 => LARGE - 20_000..LARGE + 20_000];
    let step = prop_oneof![
        8 => (size(), 0..9_u32).prop_map(|(size, align)| Step::Take(size, align)),
        4 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize(which, size)),
        6 => any::<usize>().prop_map(Step::Free),
        1 => Just(Step::GiveBack),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blocks_keep_what_is_in_them_whatever_is_freed_and_given_back_beside_them(steps in steps()) {
        let (heap, mut blocks) = (Heap::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Take(size, align) => {
                    blocks.push(Filled::new(&heap, size, 1 << align, number as u8));
                }
                Step::Resize(which, size) if !blocks.is_empty() => {
                    let count = blocks.len();
                    prop_assert!(blocks[which % count].resize(&heap, size));
                }
                Step::Free(which) if !blocks.is_empty() => {
                    let mut block = blocks.swap_remove(which % blocks.len());
                    prop_assert!(block.holds(usize::MAX));
                    block.free(&heap);
                }
                Step::GiveBack => heap.give_back(),
                Step::Resize(..) | Step::Free(_) => {}
            }
        }
        for mut block in blocks {
            prop_assert!(block.holds(usize::MAX));
            block.free(&heap);
        }
    }
}

/// Whether the page of this address is in memory.
fn is_resident(address: *mut u8) -> bool {
    let mut there = [0];
    let page = address.with_addr(address.addr() / 4096 * 4096);
    // SAFETY: tells of one page of a region, and regions are never unmapped.
    let result = unsafe { libc::mincore(page.cast(), 1, there.as_mut_ptr()) };
    assert_eq!(result, 0);
    there[0] & 1 == 1
}

#[test]
fn pages_with_nothing_in_them_go_back_and_others_stay() {
    let heap = Heap::new();
    let mut blocks: Vec<Filled> = (0..9).map(|n| Filled::new(&heap, 50_000, 8, n)).collect();
    let mut stays = blocks.pop().unwrap();
    let middles: Vec<_> = blocks
        .iter()
        .map(|block| block.start.wrapping_add(25_000))
        .collect();
    assert!(middles.iter().all(|middle| is_resident(*middle)));
    blocks.into_iter().for_each(|block| block.free(&heap));
    heap.give_back();
    assert!(!middles.iter().any(|middle| is_resident(*middle)));
    assert!(stays.holds(usize::MAX));
    stays.free(&heap);
}

#[test]
fn a_full_region_is_followed_by_another_one() {
    let heap = Heap::new();
    let mut blocks: Vec<Filled> = (0..1500)
        .map(|n| Filled::new(&heap, 100_000, 8, n as u8))
        .collect();
    assert_eq!(heap.blocks().regions.pools().count(), 3);
    assert!(blocks.iter_mut().all(|block| block.holds(usize::MAX)));
    blocks.into_iter().for_each(|block| block.free(&heap));
}

#[test]
fn what_is_asked_for_zeroed_is_zeroed_although_it_was_in_use() {
    let heap = Heap::new();
    for size in [100, LARGE] {
        Filled::new(&heap, size, 8, 1).free(&heap);
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the size is not 0.
        let start = unsafe { heap.alloc_zeroed(layout) };
        let mut block = Filled {
            start,
            layout,
            seed: 0,
        };
        assert!(block.bytes().iter().all(|byte| *byte == 0));
        block.free(&heap);
    }
}

#[test]
fn threads_share_it() {
    let heap = Heap::new();
    thread::scope(|scope| {
        for seed in 0..4 {
            let heap = &heap;
            scope.spawn(move || {
                for round in 1..2000_usize {
                    let mut block = Filled::new(heap, round % 700 + 1, 8, seed);
                    assert!(block.resize(heap, round % 900 + 1));
                    assert!(block.holds(usize::MAX));
                    block.free(heap);
                }
            });
        }
    });
}
