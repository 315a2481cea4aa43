//! Looking up host names in a static program.

use std::sync::Once;

/// To be called before the first look-up. A static C library would otherwise load the host's
/// own modules for what `/etc/nsswitch.conf` lists, which were built for another C library.
/// Files and DNS are built in.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_env = "gnu")]
        #[allow(unsafe_code)]
        {
            use std::ffi::{c_char, c_int};
            unsafe extern "C" {
                fn __nss_configure_lookup(
                    database: *const c_char,
                    services: *const c_char,
                ) -> c_int;
            }
            // SAFETY: both are texts ended by NUL that live for ever; the call copies what it needs
            // and is made before any look-up of this process, once.
            unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
        }
    });
}
