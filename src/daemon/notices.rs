//! What the daemon puts on the board (`protocol::board`): hits that were asked for again and again, for wrappers
//! that need not ask any more. A part of what the loop does, as `answers` is.
//!
//! A notice depends on what its memo depends on. Before it is put up, the board's own watch is on all that leads there:
//! every folder in which a name was looked for, every file that was read, every blob that it hands out as a
//! link. That takes system calls, so workers do it (`put_up`).

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::about::About;
use super::event_loop::EventLoop;
use super::jobs::Done;
use super::memo::{Memo, RequestKey};
use super::shared::Shared;
use super::underway::{Fate, Underway};
use crate::files::table::{NameNumber, PATHS_AT_ONCE};
use crate::files::watch::room_beside;
use crate::files::{Counter, PathId};
use crate::protocol::board::NOTICES_MAX;
use crate::protocol::message::{Content, Delivered, Delivery, Invocation};
use crate::protocol::quick::{self, Handing};
use crate::protocol::view::View;
use crate::session::kind::{Kind, Language};
use crate::sys::board::{Board, Watched};
use crate::sys::quick::{Around, is_in_key, key, ticks};
use crate::terms::blob::BlobId;
use crate::terms::key::ResultKey;
use crate::terms::output::LinkMode;
use crate::tools::environment::{Environment, names_that_matter};

/// As many hits a request needs before it gets a notice, at first: most are asked for once or twice.
const HITS_FIRST: u32 = 2;
/// And at most, where notices did not pay.
const HITS_MAX: u32 = 64;
/// To put one up takes the time that so many hits by it save.
const PAYS_FROM: u64 = 4;
/// With fewer notices than this it does not matter what they cost.
const FEW: u64 = 16;
/// After a hit tellings are looked for by ourselves for so long, so often.
const AWAKE: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_millis(50);

/// What the board calls a request, as it came: with all variables, also those that nobody reads.
type BoardKey = [u64; 2];

struct Notice {
    key: BoardKey,
    /// How often we were asked all the same. That may be for want of time; but when it comes again the notice is wrong about
    /// a blob, or could not be put up, and that is tried anew, ever more seldom.
    doubts: u32,
    results: Vec<ResultKey>,
    /// What the journal is told: the invocation has no variables but those that it shows.
    invocation: Arc<Invocation>,
    about: Arc<About>,
    saves_ns: u64,
}

/// What workers have the board watch at one age.
#[derive(Default)]
struct Watching {
    room: usize,
    age: u64,
    /// By physical path, which ends in `/`.
    folders: HashMap<Box<[u8]>, i32>,
    /// What is minded already, and whether as a file's name: where none was there at first, the file is yet to be watched.
    names: HashSet<(NameNumber, bool)>,
    files: usize,
}

/// A name that is to be minded.
struct NewName {
    full: Vec<u8>,
    /// So much of it is the folder's path.
    folder_bytes: usize,
}

/// Whether notices pay.
struct Worth {
    /// Hits that a request needs before it gets one.
    needed: u32,
    /// Put up, and made use of, since the age last turned.
    put_up: u64,
    used: u64,
}

impl Worth {
    /// The age has turned: where the notices of the last one cost more than they gave, ever fewer are put up.
    fn turned(&mut self) {
        if self.put_up >= FEW {
            let paid = self.used >= PAYS_FROM * self.put_up;
            self.needed = if paid { HITS_FIRST } else { (2 * self.needed).min(HITS_MAX) };
        }
        (self.put_up, self.used) = (0, 0);
    }
}

/// A notice that is to be put up.
struct Draft {
    number: u64,
    key: BoardKey,
    age: u64,
    tool_paths: Arc<[PathId]>,
    input_paths: Box<[PathId]>,
    verified: Counter,
    deliveries: Vec<Arc<Delivery>>,
}

pub(super) struct Notices {
    board: Arc<Board>,
    view: View,
    names: HashSet<&'static [u8]>,
    /// The age of the board that they are of.
    age: u64,
    worth: Worth,
    notices: HashMap<u64, Notice>,
    by_key: HashMap<BoardKey, u64>,
    watching: Arc<Mutex<Watching>>,
    last: u64,
    /// Until then tellings are looked for.
    awake: Option<Instant>,
    /// When we began, by both clocks.
    began: (u64, Instant),
}

impl Notices {
    /// None where there can be no board: then everybody asks.
    pub(super) fn new(shared: &Shared, link: &Path) -> Option<Notices> {
        shared.table.descriptor()?;
        let view = View::own()?;
        let board = match Board::new(link) {
            Ok(board) => Arc::new(board),
            Err(error) => {
                log::info!("no board: {error}");
                return None;
            }
        };
        Some(Notices {
            board,
            view,
            names: names_that_matter(),
            age: 0,
            worth: Worth { needed: HITS_FIRST, put_up: 0, used: 0 },
            notices: HashMap::new(),
            by_key: HashMap::new(),
            watching: Arc::new(Mutex::new(Watching { room: room_beside(), ..Watching::default() })),
            last: 0,
            awake: None,
            began: (ticks(), Instant::now()),
        })
    }

    /// Readable when a wrapper tells something while nobody looks for it.
    pub(super) fn wake(&self) -> RawFd {
        self.board.wake()
    }

    /// A hit: more may follow.
    fn stay_awake(&mut self) {
        self.awake = Some(Instant::now() + AWAKE);
    }

    /// The loop is about to sleep, unless there is something to do: for how long?
    pub(super) fn nap(&mut self, nap: Duration) -> Duration {
        if self.awake.is_some_and(|until| Instant::now() >= until) {
            self.awake = None;
        }
        let nap = if self.awake.is_some() { nap.min(ROUND) } else { nap };
        // What somebody has told by now, or has only begun to, is looked for soon.
        if self.board.set_asleep(nap > ROUND) { nap } else { nap.min(ROUND) }
    }

    fn key(&self, invocation: &Invocation) -> BoardKey {
        let mut around = Around::new(self.view.0, invocation.masquerade);
        if let Some(terminal) = invocation.terminal {
            (around.is_terminal[0], around.columns[0]) = (1, terminal.columns);
            if let Some(input) = terminal.input {
                (around.is_terminal[1], around.columns[1]) = (1, input);
            }
        }
        key(self.board.token(), &around, &invocation.argv, &invocation.cwd, &invocation.env)
    }

    /// What answers `asked`, as it came, as a notice that is yet to be put up. `understood` is the same with the settings of
    /// the file. None where it can't have one, or has one.
    fn draft(&mut self, memo: &Memo, asked: &Invocation, understood: &Invocation) -> Option<Draft> {
        let (age, key) = (self.board.age(), self.key(asked));
        if self.age != age {
            self.clear();
            self.worth.turned();
            self.age = age;
        }
        let up = self.by_key.get(&key).and_then(|number| self.notices.get_mut(number));
        let doubts = up.map(|notice| {
            notice.doubts = notice.doubts.saturating_add(1);
            notice.doubts
        });
        let is_good = doubts.is_some_and(|doubts| doubts == 1 || !doubts.is_power_of_two());
        // Outputs of other commands, which a build makes anew, are what links depend on; each of
        // them would take the whole board down.
        if is_good
            || self.notices.len() >= 2 * NOTICES_MAX
            || memo.about.kind.language == Language::Link
            || !memo.variables.iter().all(|(name, _)| is_in_key(name))
        {
            return None;
        }
        self.worth.put_up += 1;
        self.last += 1;
        let number = self.last;
        let notice = Notice {
            key,
            doubts: doubts.unwrap_or_default(),
            results: memo.results.clone(),
            invocation: Arc::new(self.shown(understood, &memo.about)),
            about: memo.about.clone(),
            saves_ns: memo.saves_ns,
        };
        if let Some(before) = self.by_key.insert(key, number) {
            self.notices.remove(&before);
        }
        self.notices.insert(number, notice);
        Some(Draft {
            number,
            key,
            age,
            tool_paths: memo.tool_paths.clone(),
            input_paths: memo.input_paths.clone(),
            verified: memo.verified,
            deliveries: memo.deliveries.clone(),
        })
    }

    /// What the journal shows of it, which is much less than all.
    fn shown(&self, invocation: &Invocation, about: &About) -> Invocation {
        let is_shown = |name: &[u8]| {
            self.names.contains(name)
                || name == b"ZCCACHE_SESSION_ID"
                || about.variables.iter().any(|read| read == name)
        };
        let mut env = Vec::new();
        for (name, value) in Environment::new(&invocation.env).iter() {
            if is_shown(name) {
                env.extend([name, b"=", value, b"\0"].concat());
            }
        }
        Invocation { env, ..invocation.clone() }
    }

    fn clear(&mut self) {
        self.by_key.clear();
        self.notices.clear();
    }

    fn forget(&mut self, number: u64) {
        if let Some(notice) = self.notices.remove(&number)
            && self.by_key.get(&notice.key) == Some(&number)
        {
            self.by_key.remove(&notice.key);
        }
    }

    /// When that was by the processor's clock.
    fn instant(&self, ticks_then: u64) -> Instant {
        let (now, ticks_now) = (Instant::now(), ticks());
        let (ticks_began, began) = self.began;
        let ticks_all = ticks_now.saturating_sub(ticks_began).max(1);
        let share = ticks_now.saturating_sub(ticks_then) as f64 / ticks_all as f64;
        now - (now - began).mul_f64(share.min(1.0))
    }
}

/// Puts up a notice, unless something happened to what it depends on. Gives those that it took the place of. For workers.
fn put_up(
    shared: &Shared,
    board: &Board,
    watching: &Mutex<Watching>,
    draft: &Draft,
) -> io::Result<Vec<u64>> {
    let settings = [shared.configured.path()];
    let lists = [&*draft.tool_paths, &*draft.input_paths, &settings];
    let mut watching = watching.lock();
    if board.begin_watching(draft.age)? || watching.age != draft.age {
        let room = watching.room;
        *watching = Watching { age: draft.age, room, ..Watching::default() };
    }
    for paths in lists.iter().flat_map(|list| list.chunks(PATHS_AT_ONCE)) {
        let mut new = HashMap::new();
        let told = shared.table.each_name(paths, |name| {
            let minded = (name.number, name.is_file);
            if !watching.names.contains(&minded) {
                new.entry(minded).or_insert_with(|| NewName {
                    full: [name.folder, name.name].concat(),
                    folder_bytes: name.folder.len(),
                });
            }
        });
        if !told {
            return Err(io::ErrorKind::Unsupported.into());
        }
        for (minded, name) in new {
            let (_, is_file) = minded;
            watching.mind(board, &name, is_file)?;
            watching.names.insert(minded);
        }
    }
    // Watched before it is looked at.
    for blob in blobs(&draft.deliveries) {
        watching.watch(board, &shared.blobs.path(blob), Watched::Blob)?;
    }
    let handing = |output: &Delivered| match shared.handing(output)? {
        Handing::Linked(stat) => Some(Handing::LinkedFromBoard(stat)),
        other => Some(other),
    };
    let payload = quick::encode(&draft.deliveries, |id| shared.blobs.path(id), handing)
        .ok_or(io::ErrorKind::Unsupported)?;
    // What happened before all of it was watched, the table's own watch has seen.
    shared.table.drain();
    if shared.table.still(&lists, draft.verified).is_none() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let gone = board.put(draft.key, draft.number, &payload, draft.age);
    // Only now: where nothing is asked for again, nobody looks for a board.
    board.publish().map(|()| gone)
}

fn blobs(deliveries: &[Arc<Delivery>]) -> impl Iterator<Item = &BlobId> {
    let outputs = deliveries.iter().flat_map(|delivery| &delivery.outputs);
    outputs.filter_map(|output| match &output.content {
        Content::Blob { id, .. } => Some(id),
        Content::Inline(_) => None,
    })
}

impl Watching {
    fn mind(&mut self, board: &Board, new: &NewName, is_file: bool) -> io::Result<()> {
        let (folder, name) = new.full.split_at(new.folder_bytes);
        let watch = match self.folders.get(folder) {
            Some(watch) => *watch,
            None => {
                let watch = board.watch(folder, Watched::Folder)?;
                self.folders.insert(folder.into(), watch);
                watch
            }
        };
        board.mind(watch, name)?;
        if is_file {
            let watch = self.watch(board, &new.full, Watched::File)?;
            board.mind(watch, b"")?;
        }
        Ok(())
    }

    fn watch(&mut self, board: &Board, file: &[u8], is: Watched) -> io::Result<i32> {
        if self.files + self.folders.len() >= self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files += 1;
        board.watch(file, is)
    }
}

impl EventLoop {
    /// A short hit from memory was sent: has a notice put up where that is worth it.
    pub(super) fn put_up(
        &mut self,
        request: RequestKey,
        asked: &Invocation,
        understood: &Invocation,
    ) {
        let (Some(notices), Some(memo)) = (&mut self.notices, self.memos.get(request)) else {
            return;
        };
        notices.stay_awake();
        memo.hits = memo.hits.saturating_add(1);
        if memo.hits < notices.worth.needed || self.shared.configured.link_mode() != LinkMode::Auto
        {
            return;
        }
        let Some(draft) = notices.draft(memo, asked, understood) else { return };
        memo.hits = 0;
        let (board, watching) = (notices.board.clone(), notices.watching.clone());
        let (shared, back) = (self.shared.clone(), self.back.clone());
        self.finishers.give(move || {
            let gone = match put_up(&shared, &board, &watching, &draft) {
                Ok(gone) => gone,
                // Something happened meanwhile: the next time, then.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => vec![draft.number],
                Err(error) => {
                    log::debug!("no notice at this age: {error}");
                    return;
                }
            };
            if !gone.is_empty() {
                back.give(Done::TakenDown { notices: gone });
            }
        });
    }

    pub(super) fn taken_down(&mut self, gone: Vec<u64>) {
        if let Some(notices) = &mut self.notices {
            gone.into_iter().for_each(|number| notices.forget(number));
        }
    }

    /// Takes in what wrappers have told since the last time.
    pub(super) fn hear_tellings(&mut self) {
        let Some(notices) = &self.notices else { return };
        let tellings = notices.board.hear();
        if notices.board.is_stuck() {
            log::info!("a wrapper was killed at the board; it begins anew");
            self.clear_board();
        }
        for telling in tellings {
            let Some(notices) = &mut self.notices else { return };
            notices.stay_awake();
            let (began, at) = (notices.instant(telling.began), notices.instant(telling.ended));
            self.hub.last_active = Instant::now();
            let Some(notice) = notices.notices.get(&telling.notice) else {
                // Taken down in that very moment.
                self.counters.hit(Kind::default(), 0);
                continue;
            };
            notices.worth.used += 1;
            let (invocation, about) = (notice.invocation.clone(), notice.about.clone());
            let saved_ns = notice.saves_ns;
            self.upkeep.used(&notice.results);
            let command = self.begin(invocation, began);
            self.count_hit(&about, saved_ns);
            self.ended_at(Underway { fate: Fate::Hit { about, saved_ns }, ..command }, at);
        }
    }

    /// Nothing on the board holds any more.
    pub(super) fn clear_board(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.board.turn();
            notices.clear();
        }
    }

    pub(super) fn close_board(&mut self) {
        if let Some(notices) = &self.notices {
            notices.board.close();
        }
        self.hear_tellings();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pay_is_put_up_ever_more_seldom() {
        let mut worth = Worth { needed: HITS_FIRST, put_up: 0, used: 0 };
        let mut after = |put_up, used| {
            (worth.put_up, worth.used) = (put_up, used);
            worth.turned();
            assert_eq!((worth.put_up, worth.used), (0, 0));
            worth.needed
        };
        // Nothing, or next to nothing, was put up.
        assert_eq!(after(0, 0), HITS_FIRST);
        assert_eq!(after(FEW - 1, 0), HITS_FIRST);
        assert_eq!(after(FEW, PAYS_FROM * FEW - 1), 2 * HITS_FIRST);
        assert_eq!(after(FEW, 0), 4 * HITS_FIRST);
        assert_eq!(after(FEW - 1, 0), 4 * HITS_FIRST);
        assert_eq!((0..10).map(|_| after(100, 50)).last(), Some(HITS_MAX));
        assert_eq!(after(100, 100 * PAYS_FROM), HITS_FIRST);
    }

    #[test]
    fn nothing_that_matters_is_left_out_of_a_key() {
        assert!(names_that_matter().iter().all(|name| is_in_key(name)));
        assert!(is_in_key(b"ZCCACHE_SESSION_ID"));
    }
}
