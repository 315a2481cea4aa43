//! The thread that writes things down: journals, session logs, session counters.
//!
//! The loop hands over ended commands and goes on. While commands keep coming the thread looks
//! for them by itself every few milliseconds, so that handing one over is a push to a list; it
//! is woken only out of a longer sleep. What it can't keep up with is dropped and counted.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::line;
use super::underway::Ended;
use crate::protocol::told::Recent;
use crate::session::journal::{Line, Outcome};
use crate::session::kind::Kind;
use crate::session::reason::Reason;
use crate::session::record::{self, SessionId, SessionRecord, open_for_lines};
use crate::session::writer::JournalFile;
use crate::terms::now::{now_ns, now_s};

/// Commands that wait to be written may hold this much memory.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// How often the thread looks for commands while they keep coming.
const ROUND: Duration = Duration::from_millis(20);
/// Rounds without a command before it sleeps until it is woken.
const ROUNDS_AWAKE: u32 = 50;
/// Counters of a session are written at most this often.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// Sessions held at a time; beyond this all are let go and loaded again when needed.
const SESSIONS_MAX: usize = 256;

/// Commands remembered for `top`.
const RECENT_MAX: usize = 64;

/// A request for the thread: runs when everything handed over before is written.
type Errand = Box<dyn FnOnce(&mut Desk) + Send>;

#[derive(Default)]
struct Waiting {
    ended: Vec<Ended>,
    bytes: usize,
    errands: Vec<Errand>,
    asleep: bool,
    closing: bool,
}

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    lost: AtomicU64,
}

/// The loop's and the workers' end.
#[derive(Clone)]
pub(super) struct Scribe {
    inbox: Arc<Inbox>,
    thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Scribe {
    pub(super) fn start(root: &Path) -> std::io::Result<Scribe> {
        let inbox = Arc::new(Inbox::default());
        let desk = Desk {
            root: root.to_owned(),
            journal: JournalFile::global(root),
            sessions: HashMap::new(),
            recent: VecDeque::new(),
            saved: Instant::now(),
        };
        let theirs = inbox.clone();
        let builder = std::thread::Builder::new().name("scribe".to_owned());
        let thread = builder.spawn(move || work(&theirs, desk))?;
        Ok(Scribe { inbox, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Hands over a command that has ended. Costs no system call while commands keep coming.
    pub(super) fn tell(&self, ended: Ended) {
        let invocation = &ended.command.invocation;
        let bytes = invocation.argv.len() + invocation.env.len() + 512;
        let mut waiting = self.inbox.waiting.lock();
        if waiting.bytes + bytes > WAITING_BYTES_MAX {
            self.inbox.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += bytes;
        waiting.ended.push(ended);
        if waiting.asleep {
            self.inbox.filled.notify_one();
        }
    }

    /// Has something done once all commands handed over so far are written.
    pub(super) fn then(&self, errand: impl FnOnce(&mut Desk) + Send + 'static) {
        self.inbox.waiting.lock().errands.push(Box::new(errand));
        self.inbox.filled.notify_one();
    }

    /// Lines of the global journal that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.inbox.lost.load(Ordering::Relaxed)
    }

    /// Writes what is left and ends the thread.
    pub(super) fn finish(self) {
        self.inbox.waiting.lock().closing = true;
        self.inbox.filled.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

impl Waiting {
    fn has_none(&self) -> bool {
        self.ended.is_empty() && self.errands.is_empty() && !self.closing
    }
}

impl Inbox {
    /// Everything that waits, once something does. `before_sleep` runs when nothing came for long.
    fn next(&self, mut before_sleep: impl FnMut()) -> (Vec<Ended>, Vec<Errand>, bool) {
        let mut waiting = self.waiting.lock();
        // Commands gather for a round: one write for many.
        if waiting.errands.is_empty() && !waiting.closing {
            self.filled.wait_for(&mut waiting, ROUND);
        }
        let mut quiet = 0;
        while waiting.has_none() {
            if quiet < ROUNDS_AWAKE {
                self.filled.wait_for(&mut waiting, ROUND);
            } else if quiet == ROUNDS_AWAKE {
                MutexGuard::unlocked(&mut waiting, &mut before_sleep);
            } else {
                waiting.asleep = true;
                self.filled.wait(&mut waiting);
                waiting.asleep = false;
            }
            quiet += 1;
        }
        waiting.bytes = 0;
        let waiting = &mut *waiting;
        let taken = (std::mem::take(&mut waiting.ended), std::mem::take(&mut waiting.errands));
        (taken.0, taken.1, waiting.closing)
    }
}

fn work(inbox: &Inbox, mut desk: Desk) {
    loop {
        let (ended, errands, closing) = inbox.next(|| desk.save_sessions());
        let write = std::panic::AssertUnwindSafe(|| {
            let lost = desk.write(ended);
            inbox.lost.fetch_add(lost, Ordering::Relaxed);
            errands.into_iter().for_each(|errand| errand(&mut desk));
        });
        if std::panic::catch_unwind(write).is_err() {
            log::error!("writing the journal panicked; some lines are lost");
        }
        if closing {
            desk.save_sessions();
            return;
        }
    }
}

/// What the thread writes to.
pub(super) struct Desk {
    root: PathBuf,
    journal: JournalFile,
    /// None: there is no such session, or it has ended.
    sessions: HashMap<SessionId, Option<Session>>,
    /// The latest commands, the latest last.
    recent: VecDeque<Recent>,
    saved: Instant,
}

struct Session {
    record: SessionRecord,
    journal: Option<JournalFile>,
    log: Option<std::fs::File>,
    dirty: bool,
}

impl Desk {
    /// Writes the lines of these commands. Gives the number that was lost.
    fn write(&mut self, ended: Vec<Ended>) -> u64 {
        let (now, now_us) = (Instant::now(), now_ns() / 1000);
        let mut all = Vec::new();
        let mut of_sessions: HashMap<SessionId, (Vec<u8>, u64)> = HashMap::new();
        let mut count = 0;
        for ended in &ended {
            let ago = now.saturating_duration_since(ended.command.began);
            let line = line::of(ended, now_us.saturating_sub(ago.as_micros() as u64));
            let Ok(mut bytes) = serde_json::to_vec(&line) else { continue };
            bytes.push(b'\n');
            count += 1;
            self.remember(&line);
            if let Some(id) = line::session_of(&ended.command.invocation)
                && let Some(session) = self.session(id)
            {
                session.count(&line);
                session.log(&line);
                let (lines, count) = of_sessions.entry(id).or_default();
                lines.extend_from_slice(&bytes);
                *count += 1;
            }
            all.extend_from_slice(&bytes);
        }
        for (id, (lines, count)) in of_sessions {
            if let Some(session) = self.session(id)
                && let Some(journal) = &mut session.journal
                && !journal.add(&lines)
            {
                session.record.lines_lost += count;
            }
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save_sessions();
        }
        if self.journal.add(&all) { 0 } else { count }
    }

    fn remember(&mut self, line: &Line) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            lane: line.lane,
            outcome: line.outcome,
            name: line.name(),
            latency_ns: line.latency_ns,
            saved_ns: line.saved_ns,
            reason: line.reason,
        });
    }

    /// The latest commands, the latest first.
    pub(super) fn recent(&self) -> Vec<Recent> {
        self.recent.iter().rev().cloned().collect()
    }

    /// A session that has not ended.
    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&id) {
            self.save_sessions();
            self.sessions.clear();
        }
        let root = &self.root;
        let load = || {
            let record = record::load(root, id).filter(|record| record.ended_at.is_none())?;
            let journal = record.journal_path.as_deref().map(JournalFile::of_session);
            let log = record.log_path.as_deref().and_then(|path| open_for_lines(path).ok());
            Some(Session { record, journal, log, dirty: false })
        };
        self.sessions.entry(id).or_insert_with(load).as_mut()
    }

    /// What is known of a session; with `end`, it ends now. None: there is no such session.
    pub(super) fn tell_session(&mut self, id: SessionId, end: bool) -> Option<SessionRecord> {
        if let Some(session) = self.session(id) {
            if end {
                session.record.ended_at = Some(now_s());
                session.dirty = true;
            }
            let record = session.record.clone();
            self.save_sessions();
            if end {
                self.sessions.insert(id, None);
            }
            return Some(record);
        }
        record::load(&self.root, id)
    }

    fn save_sessions(&mut self) {
        self.saved = Instant::now();
        for session in self.sessions.values_mut().flatten().filter(|session| session.dirty) {
            if let Err(error) = record::save(&self.root, &session.record) {
                log::warn!("a session's counters are not written: {error}");
            }
            session.dirty = false;
        }
    }
}

impl Session {
    fn count(&mut self, line: &Line) {
        let record = &mut self.record;
        self.dirty = true;
        let kind = Kind { tool: line.tool, language: line.language };
        if line.again {
            record.counters.take_back_hit(kind);
        }
        match line.outcome {
            Outcome::Hit | Outcome::LinkHit => record.counters.hit(kind, line.saved_ns),
            Outcome::Uncacheable => {
                let reason = line.reason.unwrap_or(Reason::Unanswered);
                record.counters.uncacheable(kind, reason);
            }
            Outcome::Miss | Outcome::LinkMiss | Outcome::Error => {
                record.counters.miss(kind);
                line.causes.iter().for_each(|cause| record.counters.count(cause.reason));
                record.counters.errors += u64::from(line.outcome == Outcome::Error);
            }
        }
        record.compile_ns += line.compile_ns;
        record.bytes += line.bytes;
    }

    /// A line of the session's log, for people.
    fn log(&mut self, line: &Line) {
        if let Some(file) = &mut self.log {
            // A full disk loses log lines and nothing else.
            let _ = file.write_all(format!("{}\n", line.words()).as_bytes());
        }
    }
}
