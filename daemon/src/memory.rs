//! What is not needed any more goes back to the kernel: it is there for pods.

#![allow(unsafe_code)]

use std::ops::Range;

/// Blocks from this size on are mapped by themselves, and gone when they are free.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 << 10;

/// Keeps what is free from staying with the process. By itself, glibc takes the largest block that was ever free for the size
/// to keep at hand, and has each thread keep some.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers in the allocator; there are no other threads yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGE);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back free memory, and the parts of the program that were needed up to here: what is needed again is found in the page
/// cache.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for clean in maps.lines().filter_map(as_in_its_file) {
        // SAFETY: nothing was ever written to these pages, so that they read the same when they come back from their file.
        unsafe {
            libc::madvise(
                clean.start as *mut libc::c_void,
                clean.len(),
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// Where a line of `/proc/self/maps` tells of memory that is for sure what its file says: code, and what lies before all code.
/// What is behind it may have been written to by the loader before it was made read-only.
fn as_in_its_file(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (range, access, offset) = (words.next()?, words.next()?, words.next()?);
    let file = words.nth(2)?;
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let is_first = number(offset)? == 0;
    let is_clean = access == "r-xp" || (access == "r--p" && is_first);
    (is_clean && file.starts_with('/')).then_some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_what_lies_before_it_is_as_in_its_file_and_nothing_else_for_sure() {
        let range = Some(0x7f21_af81_e000..0x7f21_af97_4000);
        for clean in [
            "7f21af81e000-7f21af974000 r-xp 00026000 fe:00 1234   /usr/lib/libc.so.6",
            "7f21af81e000-7f21af974000 r--p 00000000 fe:00 1234   /usr/lib/libc.so.6",
        ] {
            assert_eq!(as_in_its_file(clean), range, "{clean}");
        }
        for other in [
            "7f21af81e000-7f21af974000 r--p 001d0000 fe:00 1234   /usr/lib/libc.so.6",
            "7f21af81e000-7f21af974000 rw-p 00000000 fe:00 1234   /usr/lib/libc.so.6",
            "7ffd3d5e6000-7ffd3d5e8000 r-xp 00000000 00:00 0      [vdso]",
            "7f21af81e000-7f21af974000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(as_in_its_file(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_goes_on_after_it_gave_back() {
        keep_little();
        let kept: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        give_back();
        assert!((0..1000).all(|n| kept[n] == n.to_string()));
    }
}
