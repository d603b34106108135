//! What is not needed any more goes back to the kernel: it is there for pods.

#![allow(unsafe_code)]

#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

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

/// Gives back what is free.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    #[cfg(target_env = "musl")]
    HEAP.give_back();
}
