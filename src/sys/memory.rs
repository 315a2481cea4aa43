//! Memory that is not used any more.

/// Gives the system back what this process has freed. The C library keeps nearly all of it, in one heap for
/// each few threads, where it lies between what is still used. Takes milliseconds for each hundred MiB, and allocations
/// meanwhile wait for one heap at a time: for when there is nothing else to do.
#[allow(unsafe_code)]
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the locks it needs, and changes only pages in which nothing is allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}
