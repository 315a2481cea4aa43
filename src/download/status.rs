//! How far a download is, as everybody who asks is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::order::Sha256;

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Others come first.
    Queued,
    /// Looks at what is there, asks the server.
    Connecting,
    Downloading,
    /// Makes sure of its content.
    Verifying,
    Unpacking,
    Done,
    Failed,
    Cancelled,
}

impl Phase {
    /// Nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Done | Phase::Failed | Phase::Cancelled)
    }

    pub fn name(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Connecting => "connecting",
            Phase::Downloading => "downloading",
            Phase::Verifying => "verifying",
            Phase::Unpacking => "unpacking",
            Phase::Done => "done",
            Phase::Failed => "failed",
            Phase::Cancelled => "cancelled",
        }
    }
}

/// What a fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchStatus {
    /// It came over the network.
    Downloaded,
    /// It was there, and still is what it should be.
    AlreadyPresent,
    /// It goes on without us (`WaitMode::NoWait`).
    Started,
    /// It would be downloaded (`dry_run`).
    WouldDownload,
}

impl FetchStatus {
    pub fn name(self) -> &'static str {
        match self {
            FetchStatus::Downloaded => "downloaded",
            FetchStatus::AlreadyPresent => "already_present",
            FetchStatus::Started => "started",
            FetchStatus::WouldDownload => "would_download",
        }
    }
}

/// A download at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DownloadStatus {
    /// Names it for `wait`, `status` and `cancel`: the same for the same source and destination.
    pub download_id: String,
    /// The first address, without user and password.
    pub url: String,
    pub destination: PathBuf,
    pub phase: Phase,
    pub downloaded_bytes: u64,
    /// None: not known (yet).
    pub total_bytes: Option<u64>,
    /// Connections open right now.
    pub connections: u32,
    /// Processes that wait for it.
    pub clients: u32,
    /// Once `phase` is `Done`.
    pub outcome: Option<FetchStatus>,
    /// Once it is known.
    pub sha256: Option<Sha256>,
    pub expanded_path: Option<PathBuf>,
    /// The last thing that went wrong and was tried again, or what is doubtful about the result.
    pub note: Option<String>,
    /// Why it failed.
    pub error: Option<Fault>,
}

/// What the daemon of downloads is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DownloadDaemonStatus {
    pub version: String,
    pub pid: u32,
    pub socket: PathBuf,
    pub uptime_s: u64,
    /// Under way, and those that ended within the last hour.
    pub downloads: Vec<DownloadStatus>,
}
