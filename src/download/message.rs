//! What clients and the daemon of downloads say to each other, in frames of `protocol::frame`.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::order::Order;
use super::status::{DownloadDaemonStatus, DownloadStatus};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Begins a download, or joins the same one. Answered by `Reply::Status`, and again
    /// whenever it is further, until it is over. `keep`: it goes on when nobody waits for it.
    Fetch { order: Box<Order>, keep: bool },
    /// Joins a download. Answered as `Fetch` is.
    Attach(String),
    /// Answered by one `Reply::Status`.
    Status(String),
    /// Ends a download for all. Answered by one `Reply::Status`.
    Cancel(String),
    /// Answered by `Reply::Daemon`.
    DaemonStatus,
    /// Answered by `Reply::Done`, then the daemon ends; downloads can be gone on with.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    Status(Box<DownloadStatus>),
    Daemon(Box<DownloadDaemonStatus>),
    Refused(Fault),
    Done,
}
