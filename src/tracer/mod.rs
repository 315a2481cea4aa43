//! The tracer: a process of its own that runs a program in its place and tells what that did to files.
//! The wrapper puts it between itself and a tool that may read and make files nobody named; what the
//! tool finds, and how it ends, is the same.

mod calls;
mod trail;

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString, c_int};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use calls::{Flags, Intent, Name, intent};
pub use trail::Trail;
use trail::{Found, Place, Recorder};

use crate::sys::process::{self, Strings};
use crate::sys::ptrace::{self, Ended, Event, GoOn};
use crate::sys::signals::StandIn;

/// The word that makes us the tracer. Behind it: the file that the trail is written to, the program's
/// file, its name and its arguments.
pub const WORD: &str = "--trace";

/// Longer names are refused by the kernel.
const NAME_BYTES: usize = 4096;

/// Runs the program and writes its trail, which is left empty when the program could not be started.
/// Ends as it ended.
pub fn run(words: &[OsString]) -> i32 {
    match follow(words) {
        Ok(Ended::With(status)) => status,
        Ok(Ended::By(signal)) => {
            process::die_by(signal);
            128 + signal
        }
        // The wrapper sees from the trail that nothing ran.
        Err(_) => 1,
    }
}

fn follow(words: &[OsString]) -> io::Result<Ended> {
    let [trail, program, argv @ ..] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut trail = File::options().write(true).open(trail)?;
    let program = CString::new(program.as_bytes())?;
    let argv = Strings::new(argv.iter().map(|word| word.as_bytes()))?;
    let block = process::environment();
    let env = block.strip_suffix(b"\0").unwrap_or(&block).split(|byte| *byte == 0);
    let env = Strings::new(env.filter(|entry| !entry.is_empty()))?;
    let stand_in = StandIn::begin();
    let reset: Vec<c_int> = stand_in.to_reset().collect();
    let (first, is_followed) = ptrace::start(&program, &argv, &env, &reset)?;
    stand_in.started(first);
    let mut tracer = Tracer::default();
    if !is_followed {
        tracer.recorder.has_company();
    }
    let ended = tracer.until_end_of(first);
    stand_in.ended();
    let may_have_failed = matches!(ended, Ended::With(ptrace::NOT_FOUND | ptrace::NOT_STARTED));
    if may_have_failed && !tracer.has_begun {
        return Err(io::ErrorKind::NotFound.into());
    }
    let bytes = postcard::to_stdvec(&tracer.recorder.conclude()).map_err(io::Error::other)?;
    trail.write_all(&bytes)?;
    Ok(ended)
}

/// A call on its way, as it was understood when it began.
enum Pending {
    Open { place: Place, flags: Flags, was_there: bool },
    Look(Place),
    List(Vec<u8>),
    Make(Place),
    Remove(Place),
    Move(Place, Place),
    Link(Place, Place),
    Cut(Place),
    Talk,
    Nothing,
}

#[derive(Default)]
struct Tracer {
    recorder: Recorder,
    /// Of all that run.
    pending: HashMap<c_int, Pending>,
    /// The program itself was started.
    has_begun: bool,
}

impl Tracer {
    fn until_end_of(&mut self, first: c_int) -> Ended {
        loop {
            let Some((pid, event)) = ptrace::next() else { return Ended::With(1) };
            let go_on = match event {
                Event::Ended(ended) => {
                    self.pending.remove(&pid);
                    if pid != first {
                        continue;
                    }
                    // Those that it leaves behind go on without us.
                    if !self.pending.is_empty() {
                        self.recorder.has_company();
                    }
                    return ended;
                }
                Event::Entry { call, args } => self.enter(pid, call, &args),
                Event::Exit(result) => {
                    if let Some(pending) = self.pending.insert(pid, Pending::Nothing) {
                        self.leave(pending, result);
                    }
                    GoOn::With(0)
                }
                Event::Exec => {
                    self.has_begun = true;
                    // A script's interpreter is named by nobody.
                    if let Ok(file) = fs::read_link(format!("/proc/{pid}/exe")) {
                        let name = file.into_os_string().into_vec();
                        self.recorder.read(Place::plain(name), Found::File);
                    }
                    GoOn::With(0)
                }
                Event::Begin => {
                    self.pending.entry(pid).or_insert(Pending::Nothing);
                    GoOn::With(0)
                }
                Event::Signal(signal) => GoOn::With(signal),
                Event::Halt => GoOn::StayHalted,
                Event::ForeignEntry | Event::Unknown => {
                    self.recorder.is_unclear();
                    GoOn::With(0)
                }
            };
            if go_on == GoOn::Alone {
                self.pending.remove(&pid);
            }
            ptrace::go_on(pid, go_on);
        }
    }
}

impl Tracer {
    /// A call begins.
    fn enter(&mut self, pid: c_int, call: std::ffi::c_long, args: &[u64; 6]) -> GoOn {
        let place = |name: Name| place(pid, name);
        let pending = match intent(call, args) {
            Intent::Open(name, flags) => place(name).map(|place| opening(place, flags)),
            Intent::OpenBy(name, how) => {
                let mut flags = [0; 8];
                match memory(pid).and_then(|memory| memory.read_exact_at(&mut flags, how)) {
                    Ok(()) => {
                        place(name).map(|place| opening(place, Flags(u64::from_ne_bytes(flags))))
                    }
                    Err(_) => None,
                }
            }
            Intent::Look(name) => place(name).map(Pending::Look),
            Intent::List(folder) => open_file(pid, folder).map(Pending::List),
            Intent::Make(name) => place(name).map(Pending::Make),
            Intent::Remove(name) => place(name).map(Pending::Remove),
            Intent::Move(from, to) => pair(place(from), place(to), Pending::Move),
            // A file without a name gets one by that of its descriptor.
            Intent::Link(from, to) => pair(place(from), place(to), Pending::Link),
            Intent::Cut(name) => place(name).map(Pending::Cut),
            Intent::Run(name) => {
                // It gets its rights only where nobody looks on.
                if place(name).is_some_and(|place| has_rights_of_its_own(&place.spelled)) {
                    self.recorder.is_unclear();
                    return GoOn::Alone;
                }
                None
            }
            Intent::Talk => Some(Pending::Talk),
            Intent::Follow => {
                self.recorder.is_unclear();
                return GoOn::Alone;
            }
            Intent::Hide => {
                self.recorder.is_unclear();
                None
            }
            Intent::Nothing => None,
        };
        self.pending.insert(pid, pending.unwrap_or(Pending::Nothing));
        GoOn::With(0)
    }

    /// A call ends.
    fn leave(&mut self, pending: Pending, result: i64) {
        let succeeded = result >= 0;
        let is_missing =
            [libc::ENOENT, libc::ENOTDIR].map(|error| -i64::from(error)).contains(&result);
        // What is refused for other reasons is there.
        let found = |place: &Place| if is_missing { Found::Nothing } else { kind(&place.spelled) };
        let recorder = &mut self.recorder;
        match pending {
            Pending::Open { place, flags, .. } if flags.is_path_only() => {
                let found = found(&place);
                recorder.look(place, found);
            }
            Pending::Open { place, flags, .. } if flags.is_nameless() => drop(place),
            Pending::Open { place, flags, was_there } if succeeded && flags.writes() => {
                let is_kept = flags.appends() || (was_there && !flags.empties());
                if is_kept { recorder.update(place) } else { recorder.make(place) }
            }
            Pending::Open { place, flags, .. } if flags.writes() => {
                let found = found(&place);
                recorder.look(place, found);
            }
            Pending::Open { place, was_there, flags } => {
                if flags.creates() && succeeded && !was_there {
                    return recorder.make(place);
                }
                let found = found(&place);
                recorder.read(place, found);
            }
            Pending::Look(place) => {
                let found = found(&place);
                recorder.look(place, found);
            }
            Pending::List(folder) if succeeded => recorder.list(folder),
            Pending::Make(place) if succeeded => recorder.make(place),
            Pending::Remove(place) if succeeded => recorder.remove(place),
            Pending::Move(from, to) if succeeded => {
                // What is in a folder goes with it.
                if kind(&to.spelled) == Found::Folder {
                    recorder.is_unclear();
                }
                recorder.rename(from, to);
            }
            Pending::Link(from, to) if succeeded => {
                recorder.read(from, Found::File);
                recorder.make(to);
            }
            Pending::Cut(place) if succeeded => recorder.update(place),
            Pending::Make(place) | Pending::Remove(place) | Pending::Cut(place) => {
                let found = found(&place);
                recorder.look(place, found);
            }
            Pending::Move(from, to) | Pending::Link(from, to) => {
                for place in [from, to] {
                    let found = kind(&place.spelled);
                    recorder.look(place, found);
                }
            }
            // Sockets that don't wait get there later.
            Pending::Talk if succeeded || result == -i64::from(libc::EINPROGRESS) => {
                recorder.has_company();
            }
            Pending::List(_) | Pending::Talk | Pending::Nothing => {}
        }
    }
}

fn opening(place: Place, flags: Flags) -> Pending {
    let was_there = (flags.writes() || flags.creates()) && kind(&place.spelled) != Found::Nothing;
    Pending::Open { place, flags, was_there }
}

fn pair(
    from: Option<Place>,
    to: Option<Place>,
    make: impl FnOnce(Place, Place) -> Pending,
) -> Option<Pending> {
    Some(make(from?, to?))
}

fn memory(pid: c_int) -> io::Result<File> {
    File::open(format!("/proc/{pid}/mem"))
}

/// What a name in another process stands for. None: no name, or none that can be read.
fn place(pid: c_int, name: Name) -> Option<Place> {
    let mut bytes = [0; NAME_BYTES];
    let read = memory(pid).and_then(|memory| memory.read_at(&mut bytes, name.address)).ok()?;
    let end = memchr::memchr(0, &bytes[..read])?;
    let name_bytes = &bytes[..end];
    if name_bytes.is_empty() {
        return None;
    }
    let spelled = if name_bytes.starts_with(b"/") {
        name_bytes.to_vec()
    } else {
        [&open_file(pid, name.folder)?, &b"/"[..], name_bytes].concat()
    };
    Some(Place { real: real(&spelled), spelled })
}

/// Where a descriptor leads, or the folder that a process is in.
fn open_file(pid: c_int, descriptor: c_int) -> Option<Vec<u8>> {
    let link = match descriptor {
        libc::AT_FDCWD => format!("/proc/{pid}/cwd"),
        number => format!("/proc/{pid}/fd/{number}"),
    };
    fs::read_link(link).ok().map(|path| path.into_os_string().into_vec())
}

/// The name with no symlink in its folder; as it is where that is not there.
pub fn real(spelled: &[u8]) -> Vec<u8> {
    let path = Path::new(OsStr::from_bytes(spelled));
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        // It ends with `..`, or is the top.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        return whole.into_os_string().into_vec();
    };
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.join(name).into_os_string().into_vec()
}

/// What is there, symlinks followed.
fn kind(path: &[u8]) -> Found {
    match fs::metadata(OsStr::from_bytes(path)) {
        Ok(meta) if meta.is_dir() => Found::Folder,
        Ok(_) => Found::File,
        Err(_) => Found::Nothing,
    }
}

/// A program that runs as somebody else than its caller.
fn has_rights_of_its_own(path: &[u8]) -> bool {
    let path = OsStr::from_bytes(path);
    let is_set = fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o6000 != 0);
    is_set || rustix::fs::getxattr(path, "security.capability", &mut [0u8; 64][..]).is_ok()
}
