//! What all rooms speak of: plain data, without behaviour of its own.

pub mod blob;
pub mod key;
pub mod now;
pub mod output;
pub mod priority;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One argument, as the kernel handed it over: any bytes but NUL.
pub type Arg = Vec<u8>;

/// Bytes as a path.
pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
