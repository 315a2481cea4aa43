//! One download: what was ordered, how far it is, and how it ended.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::fault::{Fault, FaultKind};
use super::order::{Order, Sha256};
use super::status::{DownloadStatus, FetchStatus, Phase};
use super::web::Web;

/// A download and how far it is. The loop, its thread and those of its connections share it.
pub struct Job {
    pub order: Order,
    status: Mutex<DownloadStatus>,
    ended: Condvar,
    cancelled: AtomicBool,
    /// What to break off when it is cancelled.
    web: Mutex<Option<Web>>,
    /// When it ended.
    over: Mutex<Option<Instant>>,
}

impl Job {
    pub fn new(order: Order) -> Job {
        let status = DownloadStatus {
            download_id: order.id(),
            url: order.source.first().map(ToString::to_string).unwrap_or_default(),
            destination: order.target.clone(),
            phase: Phase::Queued,
            downloaded_bytes: 0,
            total_bytes: None,
            connections: 0,
            clients: 0,
            outcome: None,
            sha256: None,
            expanded_path: None,
            note: None,
            error: None,
        };
        Job {
            order,
            status: Mutex::new(status),
            ended: Condvar::new(),
            cancelled: AtomicBool::new(false),
            web: Mutex::default(),
            over: Mutex::default(),
        }
    }

    pub fn status(&self) -> DownloadStatus {
        self.status.lock().clone()
    }

    /// For how long it has been over. None: it is not.
    pub fn over_for(&self) -> Option<Duration> {
        self.over.lock().map(|at| at.elapsed())
    }

    pub fn is_over(&self) -> bool {
        self.over.lock().is_some()
    }

    /// Ends it soon; what is there can be gone on with.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(web) = &*self.web.lock() {
            web.shut_down();
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Waits for its end. False: not in time, or `enough`.
    pub(super) fn wait(&self, enough: impl Fn() -> bool) -> bool {
        let mut status = self.status.lock();
        while !status.phase.is_over() {
            if enough() {
                return false;
            }
            self.ended.wait_for(&mut status, Duration::from_millis(100));
        }
        true
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut status = self.status.lock();
        status.phase = phase;
        status.connections = 0;
    }

    pub(super) fn verifying(&self) {
        self.enter(Phase::Verifying);
    }

    /// So much is there, of as much as is known of by now.
    pub(super) fn have(&self, bytes: u64, total: Option<u64>) {
        let mut status = self.status.lock();
        status.downloaded_bytes = bytes;
        status.total_bytes = total;
        if status.phase == Phase::Connecting {
            status.phase = Phase::Downloading;
        }
    }

    pub(super) fn connections(&self, count: u32) {
        self.status.lock().connections = count;
    }

    /// Something went wrong and is tried again.
    pub(super) fn trouble(&self, text: &str) {
        log::info!("{text}");
        self.note(text.to_owned());
    }

    pub(super) fn note(&self, text: String) {
        self.status.lock().note = Some(text);
    }

    /// What went wrong on the way does not matter any more.
    pub(super) fn forget_note(&self) {
        self.status.lock().note = None;
    }

    /// It has ended, in one way or the other.
    pub(super) fn end(&self, result: Result<FetchStatus, Fault>) {
        let mut status = self.status.lock();
        status.connections = 0;
        match result {
            Ok(outcome) => {
                status.phase = Phase::Done;
                status.outcome = Some(outcome);
            }
            Err(fault) => {
                let cancelled = self.is_cancelled() || fault.kind == FaultKind::Cancelled;
                status.phase = if cancelled { Phase::Cancelled } else { Phase::Failed };
                let fault = if cancelled { Fault::cancelled() } else { fault };
                log::warn!("{}: {fault}", status.url);
                status.error = Some(fault);
            }
        }
        *self.over.lock() = Some(Instant::now());
        self.ended.notify_all();
    }

    /// What is broken off if it is cancelled.
    pub(super) fn uses(&self, web: &Web) {
        *self.web.lock() = Some(web.clone());
    }

    pub(super) fn is_verified(&self, sha256: Sha256) {
        self.status.lock().sha256 = Some(sha256);
    }

    pub(super) fn is_unpacked(&self, folder: &Path) {
        self.status.lock().expanded_path = Some(folder.to_path_buf());
    }

    /// It did not end by itself: a bug of ours.
    pub fn broke(&self) {
        let mut status = self.status.lock();
        if !status.phase.is_over() {
            status.phase = Phase::Failed;
            let text = "the download ended by a fault of the program; see zccache crashes";
            status.error = Some(Fault::new(FaultKind::Other, text));
            *self.over.lock() = Some(Instant::now());
            self.ended.notify_all();
        }
    }
}
