//! One download from start to end, in a thread of its own: what is there already, fetch, verify,
//! publish, unpack.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::digest;
use super::fault::{Fault, FaultKind};
use super::fetch::{self, Begin};
use super::order::{Order, Sha256};
use super::part::{self, PartFile};
use super::seal::{Found, Seals};
use super::status::{DownloadStatus, FetchStatus, Phase};
use super::unpack;
use super::web::{Trouble, Web};

/// Downloads that run side by side; more wait.
const RUNNING_MAX: u32 = 8;

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

/// What all downloads of a daemon share.
pub struct Works {
    pub seals: Seals,
    running: Mutex<u32>,
    freed: Condvar,
}

impl Works {
    pub fn of(root: &Path) -> Works {
        Works { seals: Seals::of(root), running: Mutex::default(), freed: Condvar::new() }
    }
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
    fn wait(&self, enough: impl Fn() -> bool) -> bool {
        let mut status = self.status.lock();
        while !status.phase.is_over() {
            if enough() {
                return false;
            }
            self.ended.wait_for(&mut status, Duration::from_millis(100));
        }
        true
    }

    fn enter(&self, phase: Phase) {
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

    fn note(&self, text: String) {
        self.status.lock().note = Some(text);
    }

    /// Does all of it. `twin`: another download of the same bytes, to copy from.
    pub fn run(&self, works: &Works, twin: Option<Arc<Job>>) {
        let result = self.do_all(works, twin);
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

    fn do_all(&self, works: &Works, twin: Option<Arc<Job>>) -> Result<FetchStatus, Fault> {
        let twin = match twin {
            Some(twin) if twin.wait(|| self.is_cancelled()) => Some(twin),
            _ => None,
        };
        let _slot = Slot::take(works, self)?;
        self.enter(Phase::Connecting);
        check_target(&self.order.target)?;
        if let Some((folder, _)) = &self.order.expand {
            unpack::check_target(folder)?;
        }
        let web = Web::new(&self.order.surroundings)?;
        *self.web.lock() = Some(web.clone());
        let (file, sha256, outcome) = match self.present(works, &web)? {
            Some((file, sha256)) => (file, sha256, FetchStatus::AlreadyPresent),
            None => {
                let copied = twin.and_then(|twin| self.copy_from(works, &twin));
                let (file, sha256) = match copied {
                    Some(copied) => copied,
                    None => self.fetch(works, &web)?,
                };
                (file, sha256, FetchStatus::Downloaded)
            }
        };
        self.status.lock().sha256 = Some(sha256);
        if let Some((folder, format)) = &self.order.expand {
            self.enter(Phase::Unpacking);
            let umask = self.order.surroundings.umask;
            let name = &self.order.target;
            let archive = unpack::Archive { file: &file, name, sha256, format: *format, umask };
            part::make_folders(folder.parent().unwrap_or(folder), umask)?;
            unpack::unpack(&archive, folder, &self.order.id(), &|| self.is_cancelled())?;
            self.status.lock().expanded_path = Some(folder.clone());
        }
        Ok(outcome)
    }

    /// What is in place already. Where no hash says what it must be, the server is asked whether
    /// it still is what it has.
    fn present(&self, works: &Works, web: &Web) -> Result<Option<(File, Sha256)>, Fault> {
        let order = &self.order;
        if order.force {
            return Ok(None);
        }
        let Found::Present { file, seal } =
            works.seals.find(&order.target, &order.source, order.sha256)
        else {
            return Ok(None);
        };
        if order.sha256.is_none() {
            let urls = order.source.pieces().into_iter().filter_map(|urls| urls.into_iter().next());
            for (url, version) in urls.zip(&seal.versions) {
                let Some(version) = version else { continue };
                match web.is_current(&url, version) {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(Trouble::Passing(text, _)) => {
                        self.note(format!("not compared with the server's: {text}"));
                    }
                    Err(Trouble::Final(fault)) => {
                        self.note(format!("not compared with the server's: {fault}"));
                    }
                    Err(Trouble::NoSuchRange | Trouble::NotModified) => {}
                }
                if self.is_cancelled() {
                    return Err(Fault::cancelled());
                }
            }
        }
        let size = file.metadata().map_or(0, |meta| meta.len());
        self.have(size, Some(size));
        Ok(Some((file, seal.sha256)))
    }

    fn fetch(&self, works: &Works, web: &Web) -> Result<(File, Sha256), Fault> {
        let order = &self.order;
        let part = PartFile::open(order, || self.is_cancelled())?;
        let mut fetched = match fetch::fetch(order, self, web, &part, Begin::GoOn) {
            Ok(fetched) => fetched,
            Err(fault) => {
                part.leave();
                return Err(fault);
            }
        };
        if let Some(wanted) = order.sha256.filter(|wanted| *wanted != fetched.sha256) {
            let first = order.source.first().map(ToString::to_string).unwrap_or_default();
            let mut wrong =
                Wrong { url: first, sha256: fetched.sha256, is_whole: true, others: String::new() };
            let servers = if fetched.is_mixed { order.source.servers() } else { Vec::new() };
            let (mut came_whole, mut failed) = (false, None);
            // What was there before, or one server's part of it, may be to blame: all of it from one,
            // then from the next.
            for (server, url) in servers.iter().enumerate() {
                self.trouble("the content has another sha256 than asked for; all of it once more");
                self.enter(Phase::Connecting);
                match fetch::fetch(order, self, web, &part, Begin::Afresh { server }) {
                    Ok(again) => (fetched, came_whole) = (again, true),
                    Err(fault) if fault.kind.is_remote() && !self.is_cancelled() => {
                        wrong.is_whole = false;
                        wrong.others += &format!("; {fault}");
                        failed = Some(fault);
                        continue;
                    }
                    Err(fault) => return Err(fault),
                }
                if fetched.sha256 == wanted {
                    break;
                }
                if server > 0 {
                    wrong.others += &format!("; {}: its sha256 is {}", wrong.url, wrong.sha256);
                }
                wrong =
                    Wrong { url: url.to_string(), sha256: fetched.sha256, is_whole: true, ..wrong };
            }
            if let (false, Some(fault)) = (came_whole, failed) {
                // Nobody can be blamed for a mixture; the next call may have better luck.
                return Err(fault);
            }
            if fetched.sha256 != wanted {
                return Err(self.put_aside(part, wanted, wrong));
            }
        }
        if self.is_cancelled() {
            return Err(Fault::cancelled());
        }
        let file = part.publish(&order.target, order.surroundings.umask)?;
        works.seals.set(&order.target, &order.source, &file, fetched.sha256, fetched.versions);
        self.have(fetched.size, Some(fetched.size));
        // What went wrong on the way does not matter any more.
        self.status.lock().note = None;
        Ok((file, fetched.sha256))
    }

    /// Keeps a file with the wrong content for whoever wants to know what came.
    fn put_aside(&self, part: PartFile, wanted: Sha256, wrong: Wrong) -> Fault {
        let Wrong { url, sha256: got, is_whole, others } = wrong;
        let mut aside = self.order.target.clone().into_os_string();
        aside.push(format!(".{}.bad", &got.to_string()[..12]));
        let aside = PathBuf::from(aside);
        let kept = if is_whole {
            match part.publish(&aside, 0o077) {
                Ok(_) => format!("kept as {}", aside.display()),
                Err(fault) => format!("and was not kept: {fault}"),
            }
        } else {
            part.discard();
            "and was not kept, since another server was tried after it".to_owned()
        };
        let text = format!("{url}: its sha256 is {got}, not {wanted}; what came is {kept}{others}");
        Fault::new(FaultKind::Mismatch, text)
    }

    /// Takes the bytes from where another download has put them. None: they are not there.
    fn copy_from(&self, works: &Works, twin: &Job) -> Option<(File, Sha256)> {
        let (order, theirs) = (&self.order, &twin.order);
        let Found::Present { file: from, seal } =
            works.seals.find(&theirs.target, &theirs.source, order.sha256)
        else {
            return None;
        };
        let copy = || -> Result<(File, Sha256), Fault> {
            let part = PartFile::open(order, || self.is_cancelled())?;
            let size = from.metadata().map_or(0, |meta| meta.len());
            let fault = |error: io::Error| Fault::target("can't write", part.path(), &error);
            part.file.set_len(0).map_err(fault)?;
            if !crate::sys::fs::clone_file(&from, &part.file) {
                crate::sys::fs::copy(&from, &part.file, size).map_err(fault)?;
            }
            let sha256 = digest::of_file(&part.file).map_err(fault)?;
            if sha256 != seal.sha256 {
                part.discard();
                return Err(Fault::new(FaultKind::Other, "the copy is another one"));
            }
            let file = part.publish(&order.target, order.surroundings.umask)?;
            works.seals.set(&order.target, &order.source, &file, sha256, seal.versions.clone());
            self.have(size, Some(size));
            Ok((file, sha256))
        };
        copy().map_err(|fault| log::info!("{fault}")).ok()
    }
}

/// A download that came whole, and is not what was asked for.
struct Wrong {
    /// Where it came from.
    url: String,
    sha256: Sha256,
    /// It still is there.
    is_whole: bool,
    /// What became of other servers, in words.
    others: String,
}

/// A place among those that run.
struct Slot<'a>(&'a Works);

impl<'a> Slot<'a> {
    fn take(works: &'a Works, job: &Job) -> Result<Slot<'a>, Fault> {
        let mut running = works.running.lock();
        while *running >= RUNNING_MAX {
            if job.is_cancelled() {
                return Err(Fault::cancelled());
            }
            works.freed.wait_for(&mut running, Duration::from_millis(100));
        }
        *running += 1;
        Ok(Slot(works))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.freed.notify_one();
    }
}

/// Only a file may be replaced.
fn check_target(target: &Path) -> Result<(), Fault> {
    let refused = |why: &str| {
        let text = format!("can't write {}: {why}", target.display());
        Err(Fault::new(FaultKind::Target, text))
    };
    if target.file_name().is_none() {
        return refused("it names no file");
    }
    match std::fs::metadata(target) {
        Ok(meta) if meta.is_dir() => refused("it is a folder"),
        Ok(meta) if !meta.is_file() => refused("it is not a file"),
        _ => Ok(()),
    }
}
