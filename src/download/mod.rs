//! Large files fetched once, verified, unpacked, shared by every process on the machine.
//!
//! [`DownloadClient`] is the way in. Its daemon is another one than that of compiles, made of the
//! same parts (`server`).
//!
//! * `client`: the library's API: asks the daemon;
//! * `order`, `status`, `fault`, `message`: what is asked, answered, refused;
//! * `daemon`: who asked for what, and who is told;
//! * `job`: one download from start to end;
//! * `fetch`: one source, resumed, retried; its `crew` fetches ranges side by side; `ranges` is what is missing, `part` the file
//!   under way, `digest` its SHA-256, `web` one request;
//! * `seal`: what is known of finished files;
//! * `unpack`: archives.

mod client;
pub(crate) mod daemon;
mod digest;
mod fault;
mod fetch;
mod job;
mod message;
mod order;
mod part;
mod ranges;
mod seal;
mod status;
mod unpack;
mod web;
mod work;

pub use client::{
    DownloadClient, DownloadHandle, DownloadOptions, FetchRequest, FetchResult, FetchState,
    FetchStateKind, WaitMode,
};
pub use fault::{Fault, FaultKind};
pub use order::Sha256;
pub use status::{DownloadDaemonStatus, DownloadStatus, FetchStatus, Phase};
pub use unpack::format::ArchiveFormat;
