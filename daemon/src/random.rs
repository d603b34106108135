//! The one source of randomness; everything else takes it as an argument.

use std::hash::{BuildHasher, RandomState};

/// Numbers that differ from run to run and from node to node. Not for secrets.
pub(crate) fn source() -> impl FnMut() -> u64 + Send + 'static {
    // The standard library seeds this from the kernel; splitmix64 spreads it.
    let mut state = RandomState::new().hash_one(std::process::id());
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
