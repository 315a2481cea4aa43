//! The work of one download, in a thread of its own: what is there already, fetch, verify, publish, unpack.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::digest;
use super::fault::{Fault, FaultKind};
use super::fetch::{self, Begin};
use super::job::Job;
use super::order::Sha256;
use super::part::{self, PartFile};
use super::seal::{Found, Seals};
use super::status::{FetchStatus, Phase};
use super::unpack;
use super::web::{Trouble, Web};

/// Downloads that run side by side; more wait.
const RUNNING_MAX: u32 = 8;

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

/// Does all of it. `twin`: another download of the same bytes, to copy from.
pub fn run(job: &Job, works: &Works, twin: Option<Arc<Job>>) {
    job.end(do_all(job, works, twin));
}

fn do_all(job: &Job, works: &Works, twin: Option<Arc<Job>>) -> Result<FetchStatus, Fault> {
    let twin = match twin {
        Some(twin) if twin.wait(|| job.is_cancelled()) => Some(twin),
        _ => None,
    };
    let _slot = Slot::take(works, job)?;
    job.enter(Phase::Connecting);
    check_target(&job.order.target)?;
    if let Some((folder, _)) = &job.order.expand {
        unpack::check_target(folder)?;
    }
    let web = Web::new(&job.order.surroundings)?;
    job.uses(&web);
    let (file, sha256, outcome) = match present(job, works, &web)? {
        Some((file, sha256)) => (file, sha256, FetchStatus::AlreadyPresent),
        None => {
            let copied = twin.and_then(|twin| copy_from(job, works, &twin));
            let (file, sha256) = match copied {
                Some(copied) => copied,
                None => fetch(job, works, &web)?,
            };
            (file, sha256, FetchStatus::Downloaded)
        }
    };
    job.is_verified(sha256);
    if let Some((folder, format)) = &job.order.expand {
        job.enter(Phase::Unpacking);
        let umask = job.order.surroundings.umask;
        let name = &job.order.target;
        let archive = unpack::Archive { file: &file, name, sha256, format: *format, umask };
        part::make_folders(folder.parent().unwrap_or(folder), umask)?;
        unpack::unpack(&archive, folder, &job.order.id(), &|| job.is_cancelled())?;
        job.is_unpacked(folder);
    }
    Ok(outcome)
}

/// What is in place already. Where no hash says what it must be, the server is asked whether
/// it still is what it has.
fn present(job: &Job, works: &Works, web: &Web) -> Result<Option<(File, Sha256)>, Fault> {
    let order = &job.order;
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
                    job.note(format!("not compared with the server's: {text}"));
                }
                Err(Trouble::Final(fault)) => {
                    job.note(format!("not compared with the server's: {fault}"));
                }
                Err(Trouble::NoSuchRange | Trouble::NotModified) => {}
            }
            if job.is_cancelled() {
                return Err(Fault::cancelled());
            }
        }
    }
    let size = file.metadata().map_or(0, |meta| meta.len());
    job.have(size, Some(size));
    Ok(Some((file, seal.sha256)))
}

fn fetch(job: &Job, works: &Works, web: &Web) -> Result<(File, Sha256), Fault> {
    let order = &job.order;
    let part = PartFile::open(order, || job.is_cancelled())?;
    let mut fetched = match fetch::fetch(order, job, web, &part, Begin::GoOn) {
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
            job.trouble("the content has another sha256 than asked for; all of it once more");
            job.enter(Phase::Connecting);
            match fetch::fetch(order, job, web, &part, Begin::Afresh { server }) {
                Ok(again) => (fetched, came_whole) = (again, true),
                Err(fault) if fault.kind.is_remote() && !job.is_cancelled() => {
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
            wrong = Wrong { url: url.to_string(), sha256: fetched.sha256, is_whole: true, ..wrong };
        }
        if let (false, Some(fault)) = (came_whole, failed) {
            // Nobody can be blamed for a mixture; the next call may have better luck.
            return Err(fault);
        }
        if fetched.sha256 != wanted {
            return Err(put_aside(job, part, wanted, wrong));
        }
    }
    if job.is_cancelled() {
        return Err(Fault::cancelled());
    }
    let file = part.publish(&order.target, order.surroundings.umask)?;
    works.seals.set(&order.target, &order.source, &file, fetched.sha256, fetched.versions);
    job.have(fetched.size, Some(fetched.size));
    job.forget_note();
    Ok((file, fetched.sha256))
}

/// Keeps a file with the wrong content for whoever wants to know what came.
fn put_aside(job: &Job, part: PartFile, wanted: Sha256, wrong: Wrong) -> Fault {
    let Wrong { url, sha256: got, is_whole, others } = wrong;
    let mut aside = job.order.target.clone().into_os_string();
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
fn copy_from(job: &Job, works: &Works, twin: &Job) -> Option<(File, Sha256)> {
    let (order, theirs) = (&job.order, &twin.order);
    let Found::Present { file: from, seal } =
        works.seals.find(&theirs.target, &theirs.source, order.sha256)
    else {
        return None;
    };
    let copy = || -> Result<(File, Sha256), Fault> {
        let part = PartFile::open(order, || job.is_cancelled())?;
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
        job.have(size, Some(size));
        Ok((file, sha256))
    };
    copy().map_err(|fault| log::info!("{fault}")).ok()
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
