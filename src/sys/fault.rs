//! Faults on order, so that tests can hurt the very program that users get.
//!
//! `ZCCACHE_FAULT=POINT:ACTION[:N]` arms one point: the N-th time the process passes it (the first
//! if N is left out, every time for `*`), the action happens. Unarmed, a point costs one load.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;

/// Where a fault can be ordered: between any two steps of a request, and of a daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The wrapper is about to ask.
    Ask,
    /// The wrapper has its answer.
    Answered,
    /// The wrapper puts an output in place.
    Deliver,
    /// The tool has ended; nothing is taken in yet.
    Compiled,
    /// A blob is written under its temporary name.
    BlobWritten,
    /// A blob has its name.
    BlobPlaced,
    /// The wrapper is about to report.
    Report,
    /// A starting daemon has the root's lock.
    Locked,
    /// It is noted that somebody opens the index.
    Opening,
    /// It has opened the index.
    Indexed,
    /// It listens.
    Listening,
    /// It has told its starter.
    Ready,
    /// The daemon has read a request.
    Request,
    /// A worker begins to look up.
    Lookup,
    /// The daemon is about to reply.
    Reply,
    /// The daemon has read a report.
    Reported,
    /// A worker is about to write a result down.
    Store,
    /// It has written it down.
    Stored,
    /// A call of the index.
    Index,
    /// Counters and last use are about to be written.
    Upkeep,
    /// It is decided what to evict.
    EvictChosen,
    /// The index has forgotten it.
    EvictForgotten,
    /// One blob of it is gone.
    EvictRemoved,
    /// A leaving daemon has removed its socket.
    Leave,
    /// It has nothing left but the last write.
    Last,
    /// A compacted index is written.
    Compacted,
    /// The old one is moved away.
    CompactMoved,
}

impl Point {
    /// All points, with the names that orders use.
    pub const ALL: [(&'static str, Point); 27] = [
        ("wrapper.ask", Point::Ask),
        ("wrapper.answered", Point::Answered),
        ("wrapper.deliver", Point::Deliver),
        ("wrapper.compiled", Point::Compiled),
        ("blob.written", Point::BlobWritten),
        ("blob.placed", Point::BlobPlaced),
        ("wrapper.report", Point::Report),
        ("start.locked", Point::Locked),
        ("start.opening", Point::Opening),
        ("start.indexed", Point::Indexed),
        ("start.listening", Point::Listening),
        ("start.ready", Point::Ready),
        ("daemon.request", Point::Request),
        ("daemon.lookup", Point::Lookup),
        ("daemon.reply", Point::Reply),
        ("daemon.reported", Point::Reported),
        ("daemon.store", Point::Store),
        ("daemon.stored", Point::Stored),
        ("index.call", Point::Index),
        ("daemon.upkeep", Point::Upkeep),
        ("evict.chosen", Point::EvictChosen),
        ("evict.forgotten", Point::EvictForgotten),
        ("evict.removed", Point::EvictRemoved),
        ("end.leave", Point::Leave),
        ("end.last", Point::Last),
        ("compact.written", Point::Compacted),
        ("compact.moved", Point::CompactMoved),
    ];
}

#[derive(Clone, Copy)]
enum Action {
    Exit,
    /// As `kill -9` does.
    Kill,
    Abort,
    Panic,
    /// The process stops until someone continues it.
    Stop,
    Sleep(Duration),
}

#[derive(Clone, Copy)]
enum When {
    Pass(u64),
    Always,
}

struct Order {
    point: Point,
    action: Action,
    when: When,
}

static ARMED: AtomicBool = AtomicBool::new(false);
static ORDER: OnceLock<Order> = OnceLock::new();
static PASSED: AtomicU64 = AtomicU64::new(0);

/// Reads the order of this process; to be called once at its start. An error names what is wrong.
pub fn arm() -> Result<(), String> {
    let Some(text) = std::env::var_os("ZCCACHE_FAULT").filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let order = text.to_str().and_then(parse).ok_or_else(|| {
        format!(
            "ZCCACHE_FAULT=\"{}\" is not understood: allowed is POINT:ACTION[:N], see the \
             documentation of faults in ARCHITECTURE.md",
            text.as_encoded_bytes().escape_ascii()
        )
    })?;
    ARMED.store(ORDER.set(order).is_ok(), Ordering::Relaxed);
    Ok(())
}

fn parse(text: &str) -> Option<Order> {
    let mut words = text.split(':');
    let name = words.next()?;
    let (_, point) = *Point::ALL.iter().find(|(known, _)| *known == name)?;
    let action = match words.next()? {
        "exit" => Action::Exit,
        "kill" => Action::Kill,
        "abort" => Action::Abort,
        "panic" => Action::Panic,
        "stop" => Action::Stop,
        other => Action::Sleep(Duration::from_millis(other.strip_prefix("sleep=")?.parse().ok()?)),
    };
    let when = match words.next() {
        None => When::Pass(1),
        Some("*") => When::Always,
        Some(number) => When::Pass(number.parse().ok().filter(|number| *number > 0)?),
    };
    words.next().is_none().then_some(Order { point, action, when })
}

/// A place where a fault may have been ordered.
#[inline]
pub fn at(point: Point) {
    if ARMED.load(Ordering::Relaxed) {
        strike(point);
    }
}

#[cold]
fn strike(point: Point) {
    let Some(order) = ORDER.get().filter(|order| order.point == point) else { return };
    let pass = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
    if matches!(order.when, When::Pass(number) if number != pass) {
        return;
    }
    log::warn!("an ordered fault: {:?}", order.point);
    let signal = |signal| {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    };
    match order.action {
        Action::Exit => process::exit(1),
        Action::Kill => signal(Signal::KILL),
        Action::Abort => process::abort(),
        Action::Panic => panic!("a fault was ordered"),
        Action::Stop => signal(Signal::STOP),
        Action::Sleep(time) => std::thread::sleep(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        for text in ["wrapper.ask:kill", "index.call:sleep=20:*", "end.last:stop:7"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "x:kill",
            "wrapper.ask",
            "wrapper.ask:sleep",
            "end.last:kill:0",
            "end.last:kill:1:1",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        for (number, (name, _)) in Point::ALL.iter().enumerate() {
            assert!(Point::ALL[..number].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
