//! One invocation, on the client's side: ask, then deliver or run, or become the tool.

mod ask;
mod capture;
mod fallback;
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
use std::panic::{self, AssertUnwindSafe};

use gather::Call;
use steps::Outcome;
use text::Held;

use crate::protocol::frame;
use crate::protocol::message::{Answer, Exit, Invocation, Request};
use crate::settings::{Settings, StrictPaths};
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
        Ok(Some(exit)) => finish(exit),
        _ => {
            broken_pipe.restore();
            plain::become_tool(&call)
        }
    }
}

/// None: the cache can't help with this one.
fn with_cache(
    call: &Call<'_>,
    cwd: Vec<u8>,
    settings: &Settings,
    broken_pipe: &Before,
    held: &mut Held,
) -> Option<Exit> {
    let columns = terminal::stderr_size().map(|size| size.ws_col);
    let again = ask::was_answered();
    let mut request = Request::Compile(Invocation { again, ..call.invocation(cwd, columns) });
    // A second time only to tell of damaged blobs.
    for round in 0..2 {
        let asked = match if round == 0 { ask::pick_up() } else { None } {
            Some(picked_up) => picked_up,
            None => ask::ask(settings, &frame::message(&request).ok()?),
        };
        let (stream, answer) = match (asked, &request) {
            (Ok(asked), _) => asked,
            (Err(error), Request::Compile(invocation)) => {
                fallback::without_daemon(settings, invocation, &error);
                return None;
            }
            _ => return None,
        };
        let Answer::Work(work) = answer else { return None };
        match steps::perform(&work, call, settings, Some(broken_pipe), held) {
            Outcome::Plain => {
                fallback::undelivered(&stream);
                return None;
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
                if let Some(report) = report {
                    ask::report(&stream, report);
                }
                // The tool itself would have been ended by writing to nobody.
                let ended_by_pipe = held.broken && broken_pipe.was_default();
                return Some(if ended_by_pipe { Exit::Signal(signals::BROKEN_PIPE) } else { exit });
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
