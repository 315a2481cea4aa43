//! One invocation, on the client's side: ask, then deliver or run, or become the tool.

mod ask;
mod capture;
mod gather;
pub mod names;
mod plain;
mod run;
mod steps;
mod take_in;
mod text;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};

use ask::Patience;
use gather::Call;
use steps::Outcome;
use text::Held;

use crate::protocol::frame;
use crate::protocol::message::{Answer, Exit, Invocation, Report, Request};
use crate::settings::{Settings, StrictPaths};
use crate::sys::fault::{self, Point};
use crate::sys::signals::{self, Before};
use crate::sys::{process, terminal};

/// Does what this command would have done, with the cache's help where it can give any.
/// Returns the status to exit with, unless this process became the tool. `strict` is the
/// mode given on our own command line, which wins over the variable.
pub fn run(argv: &[OsString], masquerade: bool, strict: Option<StrictPaths>) -> i32 {
    let call = Call::new(argv, masquerade);
    // Without a working folder there are no absolute names, and so nothing to ask about.
    let cwd = if names::is_compiler(call.tool()) { gather::cwd() } else { None };
    let (settings, _) = Settings::from_block(&call.env, cwd.as_deref());
    if settings.disable {
        return plain::become_tool(&call);
    }
    // Checking the paths is not built yet; what can't be a mode is refused already.
    if let (None, Err(error)) = (strict, &settings.strict_paths) {
        eprintln!("zccache: {error}");
        return 2;
    }
    let Some(cwd) = cwd.filter(|_| settings.cache_root.is_some() && !call.runs_in_circles()) else {
        return plain::become_tool(&call);
    };
    // A fault of ours must not reach the user's build, not even as a message.
    panic::set_hook(Box::new(|_| {}));
    let broken_pipe = signals::ignore_broken_pipe();
    let mut held = Held::default();
    let end = panic::catch_unwind(AssertUnwindSafe(|| {
        with_cache(&call, cwd, &settings, &broken_pipe, &mut held)
    }));
    match end {
        Ok(Some(Done { exit, stream, report })) => {
            if let Some(report) = report {
                // The outcome stands, whatever becomes of the report.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| ask::report(&stream, report)));
            }
            finish(exit)
        }
        _ => {
            broken_pipe.restore();
            plain::become_tool(&call)
        }
    }
}

/// All is in place and said; the daemon is yet to be told.
struct Done {
    exit: Exit,
    stream: UnixStream,
    report: Option<Report>,
}

/// None: the cache can't help with this one.
fn with_cache(
    call: &Call<'_>,
    cwd: Vec<u8>,
    settings: &Settings,
    broken_pipe: &Before,
    held: &mut Held,
) -> Option<Done> {
    let columns = terminal::stderr_size().map(|size| size.ws_col);
    let again = ask::was_answered();
    let mut request = Request::Compile(Invocation { again, ..call.invocation(cwd, columns) });
    let mut patience = Patience::new();
    let mut picked_up = patience.spend(ask::pick_up);
    // A second time only to tell of damaged blobs.
    for _ in 0..2 {
        let (stream, answer) = match picked_up.take() {
            Some(picked_up) => picked_up,
            None => {
                let question = frame::message(&request).ok()?;
                patience.spend(|deadline| ask::ask(settings, &question, deadline))
            }
        }
        .ok()?;
        fault::at(Point::Answered);
        let Answer::Work(work) = answer else { return None };
        match steps::perform(&work, call, settings, Some(broken_pipe), held) {
            Outcome::Plain => return None,
            Outcome::Damaged(blobs) => {
                *held = Held::default();
                if let Request::Compile(Invocation { damaged, again, .. }) = &mut request {
                    damaged.extend(blobs);
                    *again = true;
                }
            }
            Outcome::Done { exit, report } => {
                held.release();
                // The tool itself would have been ended by writing to nobody.
                let ended_by_pipe = held.broken && broken_pipe.was_default();
                let exit = if ended_by_pipe { Exit::Signal(signals::BROKEN_PIPE) } else { exit };
                return Some(Done { exit, stream, report });
            }
        }
    }
    None
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
