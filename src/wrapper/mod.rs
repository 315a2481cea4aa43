//! One invocation, on the client's side: ask, then deliver or run, or become the tool.

mod ask;
mod capture;
mod declared;
mod fallback;
mod gather;
pub mod names;
mod observe;
mod plain;
mod run;
mod scratch;
mod steps;
mod take_in;
mod text;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};

use ask::Patience;
use gather::Call;
pub use gather::{stdout_of, terminal};
use steps::Outcome;
use text::Held;

use crate::protocol::frame;
use crate::protocol::message::{Answer, Declared, Exit, Invocation, Report, Request};
use crate::session::reason::Reason;
use crate::settings::Settings;
use crate::sys::fault::{self, Point};
use crate::sys::priority::take_on;
use crate::sys::process;
use crate::sys::signals::{self, Before};
use crate::terms::priority::{Niceness, Priority};
use crate::tools::gcc::strict_paths::{self, StrictPaths};

/// How the cache dealt with a command.
enum End {
    /// It did what the tool would have done; the daemon is yet to be told.
    Done { exit: Exit, stream: UnixStream, report: Option<Report>, stays: bool },
    /// Nothing may run: the line to tell.
    Refused(String),
    /// Become the tool. `judged`: a daemon found nothing that forbids it, and says what to
    /// run at.
    Plain { judged: bool, niceness: Option<Niceness> },
}

/// The status when a setting is bad, or forbids the command.
const REFUSED: i32 = 2;

/// Does what this command would have done, with the cache's help where it can give any.
/// Returns the status to exit with, unless this process became the tool. `strict` is the
/// mode given on our own command line, which wins over the variable.
pub fn run(argv: &[OsString], masquerade: bool, strict: Option<StrictPaths>) -> i32 {
    serve(&Call::new(argv, masquerade, strict))
}

/// The same for any command, by what its caller says of it.
pub fn run_declared(argv: &[OsString], declared: Declared) -> i32 {
    serve(&Call::declared(argv, declared))
}

fn serve(call: &Call<'_>) -> i32 {
    // Without a working folder there are no absolute names, and so nothing to ask about.
    let cwd = if call.is_asked_about() { gather::cwd() } else { None };
    let (settings, _) = Settings::from_block(&call.told_env(), cwd.as_deref());
    if settings.disable {
        return plain::become_tool(call);
    }
    if let Err(error) = &settings.strict_paths {
        return refuse(&error.to_string());
    }
    let can_ask = settings.cache_root.is_some() && !call.runs_in_circles() && !call.came_back();
    let Some(cwd) = cwd.filter(|_| can_ask) else {
        return unasked(call, settings);
    };
    // A fault of ours must not reach the user's build, not even as a message.
    panic::set_hook(Box::new(|_| {}));
    let broken_pipe = signals::ignore_broken_pipe();
    let mut held = Held::default();
    let end = panic::catch_unwind(AssertUnwindSafe(|| {
        with_cache(call, cwd, &settings, &broken_pipe, &mut held)
    }));
    match end {
        Ok(End::Done { exit, stream, report, stays }) => {
            if let Some(report) = report {
                // The outcome stands, whatever becomes of the report.
                let report = || ask::report(&stream, report, stays);
                let _ = panic::catch_unwind(AssertUnwindSafe(report));
            }
            finish(declared::checked(call, exit))
        }
        Ok(End::Refused(line)) => refuse(&line),
        Ok(End::Plain { judged: true, niceness }) => {
            broken_pipe.restore();
            // Where the system does not allow it, it stays as it was.
            let _ = niceness.map(take_on);
            plain::become_tool(call)
        }
        Ok(End::Plain { judged: false, .. }) | Err(_) => {
            broken_pipe.restore();
            unasked(call, settings)
        }
    }
}

fn with_cache(
    call: &Call<'_>,
    cwd: Vec<u8>,
    settings: &Settings,
    broken_pipe: &Before,
    held: &mut Held,
) -> End {
    let again = ask::was_answered();
    let mut request = Request::Compile(Invocation { again, ..call.invocation(cwd, terminal()) });
    let mut plain = End::Plain { judged: false, niceness: None };
    let mut patience = Patience::new();
    let mut picked_up = patience.spend(ask::pick_up);
    // A second time only to tell of damaged blobs.
    for round in 0..2 {
        let asked = match picked_up.take() {
            Some(picked_up) => picked_up,
            None => match frame::question(&request) {
                Ok(question) => patience.spend(|deadline| ask::ask(settings, &question, deadline)),
                Err(_) => return plain,
            },
        };
        fault::at(Point::Answered);
        let (stream, work) = match (asked, &request) {
            (Ok((stream, Answer::Work(work))), _) => (stream, work),
            (Ok((_, Answer::Refused(line))), _) => return End::Refused(line),
            (Ok((_, Answer::Plain(reason, _, niceness))), _) => {
                // These know nothing of the command.
                let judged = !matches!(reason, Reason::ForeignNamespace | Reason::InternalFault);
                return End::Plain { judged, niceness };
            }
            (Err(error), Request::Compile(invocation)) => {
                fallback::without_daemon(settings, invocation, &error);
                return plain;
            }
            (Err(_), _) => return plain,
        };
        plain = End::Plain { judged: true, niceness: work.niceness };
        match steps::perform(&work, call, settings, Some(broken_pipe), held) {
            Outcome::Plain => {
                fallback::undelivered(&stream);
                return plain;
            }
            Outcome::Damaged(blobs) => {
                if round > 0 {
                    fallback::undelivered(&stream);
                }
                *held = Held::default();
                if let Request::Compile(Invocation { damaged, again, .. }) = &mut request {
                    damaged.extend(blobs);
                    *again = true;
                }
            }
            Outcome::Done { exit, report } => {
                held.release();
                let stays = work.stays && exit == Exit::Status(0);
                // The tool itself would have been ended by writing to nobody.
                let ended_by_pipe = held.broken && broken_pipe.was_default();
                let exit = if ended_by_pipe { Exit::Signal(signals::BROKEN_PIPE) } else { exit };
                return End::Done { exit, stream, report, stays };
            }
        }
    }
    plain
}

/// Becomes the tool where no daemon has judged the command: what the settings ask for holds
/// all the same.
fn unasked(call: &Call<'_>, settings: Settings) -> i32 {
    let paths = call.declared.is_none() && names::takes_include_paths(call.tool());
    let compiles = call.is_asked_about();
    if !paths && !compiles {
        return plain::become_tool(call);
    }
    let file = settings.file();
    let settings = settings.over(&file);
    if settings.disable {
        return plain::become_tool(call);
    }
    if paths {
        let mode = settings.strict_paths.as_ref().copied().unwrap_or_default();
        let args: Vec<_> = call.argv[1..].iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let read = &mut |path: &[u8]| std::fs::read(OsStr::from_bytes(path)).ok();
        if let Err(line) = strict_paths::check(mode, call.tool(), &args, read) {
            return refuse(&line);
        }
    }
    if compiles {
        let priority = settings.compile_priority.unwrap_or(Priority::Low);
        let _ = priority.niceness(|| false).map(take_on);
    }
    plain::become_tool(call)
}

/// Says why nothing is run.
fn refuse(line: &str) -> i32 {
    let _ = text::write_all(rustix::stdio::stderr(), format!("zccache: {line}\n").as_bytes());
    REFUSED
}

/// Ends as the tool did.
fn finish(exit: Exit) -> i32 {
    match exit {
        Exit::Status(status) => status,
        Exit::Signal(signal) => {
            process::die_by(signal);
            128 + signal
        }
    }
}
