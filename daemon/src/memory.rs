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

/// Gives back free memory, and the code that was needed up to here: what is needed again is found in the page cache.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for code in maps.lines().filter_map(code_of_a_file) {
        // SAFETY: nothing was ever written to these pages, so that they read the same when they come back from their file.
        unsafe {
            libc::madvise(
                code.start as *mut libc::c_void,
                code.len(),
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// Where a line of `/proc/self/maps` tells of code that was mapped from a file.
fn code_of_a_file(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (range, access) = (words.next()?, words.next()?);
    let file = words.nth(3)?;
    let (start, end) = range.split_once('-')?;
    let bound = |text| usize::from_str_radix(text, 16).ok();
    (access == "r-xp" && file.starts_with('/')).then_some(bound(start)?..bound(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_code_of_a_file() {
        let code = "7f21af81e000-7f21af974000 r-xp 00026000 fe:00 1234   /usr/lib/libc.so.6";
        assert_eq!(
            code_of_a_file(code),
            Some(0x7f21_af81_e000..0x7f21_af97_4000)
        );
        for other in [
            "7f21af81e000-7f21af974000 r--p 00000000 fe:00 1234   /usr/lib/libc.so.6",
            "7f21af81e000-7f21af974000 rw-p 00000000 fe:00 1234   /usr/lib/libc.so.6",
            "7ffd3d5e6000-7ffd3d5e8000 r-xp 00000000 00:00 0      [vdso]",
            "7f21af81e000-7f21af974000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code_of_a_file(other), None, "{other}");
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
