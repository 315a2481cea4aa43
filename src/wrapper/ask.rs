//! Asking the daemon. Every step has an end: a daemon that is slow is as good as none.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::daemon::start;
use crate::protocol::frame::{self, Build, HEADER_BYTES, Header, Verb};
use crate::protocol::message::{Answer, Reply, Report, Request};
use crate::settings::Settings;
use crate::sys::fault::{self, Point};

/// For a report; the daemon loses one rather than keep a build waiting.
const REPORT_TIME: Duration = Duration::from_millis(500);
/// For the daemon to store what was reported; that takes it one or two milliseconds.
const STAY_TIME: Duration = Duration::from_millis(100);
/// A daemon may ask for patience, but not for ever; a little more than `daemon::in_flight` does.
const WAITING_MAX: Duration = Duration::from_secs(125);
/// Within this a daemon that asked for patience says so again; a little more than `daemon::in_flight` does.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Room for a usual answer, so that one read gets it whole.
const READ_BYTES: usize = 16 << 10;

/// What one invocation may still wait for a daemon, whatever goes wrong how often: to connect, to
/// start one, to replace an older one, for answers.
pub struct Patience {
    left: Duration,
}

impl Patience {
    const ALL: Duration = Duration::from_secs(4);

    /// What the quick path has left of it.
    pub fn new() -> Patience {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        let waited = crate::sys::quick::waited_s();
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        let waited = 0u8;
        Patience { left: Patience::ALL.saturating_sub(Duration::from_secs(waited.into())) }
    }

    /// Lets something wait until a deadline, and takes off what it did wait.
    pub fn spend<T>(&mut self, wait: impl FnOnce(Instant) -> T) -> T {
        let begin = Instant::now();
        let result = wait(begin + self.left);
        self.left = self.left.saturating_sub(begin.elapsed());
        result
    }
}

/// True when a hit was answered before the C library started, and not delivered.
pub fn was_answered() -> bool {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        use crate::sys::quick::{Outcome, outcome};
        matches!(outcome(), Outcome::Undelivered)
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    false
}

/// The answer to what was asked before the C library started, if something was.
pub fn pick_up(deadline: Instant) -> Option<io::Result<(UnixStream, Answer)>> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        use std::os::fd::{FromRawFd, OwnedFd};

        use crate::sys::quick::{Outcome, outcome};
        match outcome() {
            Outcome::NotAsked | Outcome::Undelivered => {}
            Outcome::Mute => return Some(Err(io::ErrorKind::TimedOut.into())),
            Outcome::Asked(handed) => {
                // SAFETY: the quick path opened it for us and is done with it.
                #[allow(unsafe_code)]
                let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(handed.socket) });
                let reply = receive(&stream, handed.received, deadline);
                return match reply {
                    // Of another build: asking again settles that.
                    Ok((header, _)) if header.verb == Verb::OtherBuild => None,
                    Ok((header, payload)) => {
                        Some(decode(&header, &payload).map(|answer| (stream, answer)))
                    }
                    Err(error) => Some(Err(error)),
                };
            }
        }
    }
    let _ = deadline;
    None
}

/// Asks with this frame; gives the answer and the connection to report on. Any error means
/// the cache can't help now.
pub fn ask(
    settings: &Settings,
    question: &[u8],
    deadline: Instant,
) -> io::Result<(UnixStream, Answer)> {
    fault::at(Point::Ask);
    let once = || {
        let stream = start::connect_if_allowed(settings, deadline)?;
        exchange(&stream, question, deadline).map(|reply| (stream, reply))
    };
    let asked = match once() {
        Err(error) if was_not_heard(&error) => once(),
        asked => asked,
    };
    let (stream, (header, payload)) = asked?;
    if header.verb != Verb::OtherBuild {
        return Ok((stream, decode(&header, &payload)?));
    }
    // An older daemon makes room for one of our build; a newer one stays.
    if Build::own().version < header.build.version {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the daemon is newer"));
    }
    drop(stream);
    let stream = start::replace(settings, deadline)?;
    let (header, payload) = exchange(&stream, question, deadline)?;
    Ok((stream, decode(&header, &payload)?))
}

/// A process that is being killed can be connected to until its end, and then resets whoever it has not
/// accepted. One that heard us and died of it ends the connection in order; nobody else is to hear that.
fn was_not_heard(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Tells what became of the answer, and waits until that is dealt with if it `stays` for that. Best effort: a lost
/// report costs a later miss.
pub fn report(stream: &UnixStream, report: Report, stays: bool) {
    fault::at(Point::Report);
    tell(stream, &Request::Report(report));
    if stays {
        let _ = wait(stream, PollFlags::IN, Instant::now() + STAY_TIME);
    }
}

/// Sends what is not answered. Best effort.
pub fn tell(stream: &UnixStream, what: &Request) {
    if let Ok(bytes) = frame::message(what) {
        let _ = send(stream, &bytes, Instant::now() + REPORT_TIME);
    }
}

fn decode(header: &Header, payload: &[u8]) -> io::Result<Answer> {
    if header.verb != Verb::Message || header.build != Build::own() {
        return Err(io::Error::other("not an answer"));
    }
    match postcard::from_bytes(payload).map_err(io::Error::other)? {
        Reply::Answer(answer) => Ok(answer),
        _ => Err(io::Error::other("an answer to another question")),
    }
}

/// Sends a whole frame and reads a whole frame.
fn exchange(
    stream: &UnixStream,
    question: &[u8],
    deadline: Instant,
) -> io::Result<(Header, Vec<u8>)> {
    if stream.as_raw_fd() <= 2 {
        // The caller closed a standard stream and the socket sits in its place: the tool's
        // text would end up in it.
        return Err(io::Error::other("a standard stream is closed"));
    }
    send(stream, question, deadline)?;
    receive(stream, &[], deadline)
}

/// The time that a daemon has between two frames that say to wait, of which the first came with so much time
/// left. All the time for which a daemon was silent, before that and when it falls silent afterwards, comes to
/// little more than the patience for one that never says a word.
fn between_waits(left: Duration) -> Duration {
    left.max(ROUND_MAX)
}

/// Reads a whole frame, of which this has arrived already. Frames that say to wait give time again.
fn receive(
    stream: &UnixStream,
    arrived: &[u8],
    mut deadline: Instant,
) -> io::Result<(Header, Vec<u8>)> {
    let end = Instant::now() + WAITING_MAX;
    let mut patience: Option<Duration> = None;
    let mut bytes = Vec::with_capacity(READ_BYTES);
    bytes.extend_from_slice(arrived);
    loop {
        let mut whole = HEADER_BYTES;
        if let Some(head) = bytes.first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(head).ok_or_else(|| io::Error::other("not a frame"))?;
            whole += header.length;
            if bytes.len() >= whole && header.verb == Verb::Wait {
                bytes.drain(..whole);
                let now = Instant::now();
                let patience = *patience
                    .get_or_insert_with(|| between_waits(deadline.saturating_duration_since(now)));
                deadline = (now + patience).min(end);
                continue;
            }
            if bytes.len() >= whole {
                bytes.truncate(whole);
                bytes.drain(..HEADER_BYTES);
                return Ok((header, bytes));
            }
        }
        // There is room for at least what is missing: to read into none looks like the end.
        bytes.reserve(whole - bytes.len());
        wait(stream, PollFlags::IN, deadline)?;
        match rustix::net::recv(stream, spare_capacity(&mut bytes), RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn send(stream: &UnixStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => wait(stream, PollFlags::OUT, deadline)?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the socket is ready; past the deadline that is an error.
fn wait(stream: &UnixStream, events: PollFlags, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match rustix::event::poll(&mut [PollFd::new(stream, events)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;
    use crate::session::reason::Reason;

    fn answered_with(reply: Vec<u8>, question: Vec<u8>) -> io::Result<(Header, Vec<u8>)> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let other = thread::spawn(move || {
            let heard = frame::read(&mut theirs).unwrap();
            for piece in reply.chunks(10_000) {
                theirs.write_all(piece).unwrap();
            }
            heard
        });
        let result = exchange(&ours, &question, Instant::now() + Duration::from_secs(5));
        let _ = other.join().unwrap();
        result
    }

    #[test]
    fn long_frames_both_ways() {
        let long = vec![7u8; 3 << 20];
        let question = frame::message(&serde_bytes::Bytes::new(&long)).unwrap();
        let (header, payload) = answered_with(question.clone(), question.clone()).unwrap();
        assert_eq!(header.verb, Verb::Message);
        assert_eq!(payload, question[HEADER_BYTES..]);
    }

    #[test]
    fn answers_are_decoded_and_nothing_else() {
        let answer = Answer::Plain(Reason::Link, None, None);
        let bytes = frame::message(&Reply::Answer(answer.clone())).unwrap();
        let (header, payload) = answered_with(bytes, frame::bare(Verb::Retire)).unwrap();
        assert_eq!(decode(&header, &payload).unwrap(), answer);
        assert!(decode(&header, &payload[1..]).is_err());
        let (header, payload) =
            answered_with(frame::message(&Reply::Done).unwrap(), frame::bare(Verb::Retire))
                .unwrap();
        assert!(decode(&header, &payload).is_err());
        assert!(answered_with(vec![1; 64], frame::bare(Verb::Retire)).is_err());
        assert!(answered_with(vec![], frame::bare(Verb::Retire)).is_err());
    }

    #[test]
    fn a_daemon_may_ask_for_patience() {
        let wait = frame::bare(Verb::Wait);
        let bytes = [&wait[..], &wait, &frame::bare(Verb::Leaving)].concat();
        let (header, payload) = answered_with(bytes, frame::bare(Verb::Retire)).unwrap();
        assert_eq!((header.verb, payload.len()), (Verb::Leaving, 0));
    }

    #[test]
    fn what_was_waited_before_counts_afterwards() {
        for waited_ms in [0, 500, 2500, 3990] {
            let waited = Duration::from_millis(waited_ms);
            let all = waited + between_waits(Patience::ALL - waited);
            assert!(all >= Patience::ALL && all <= Duration::from_secs(5), "{all:?}");
        }
        // The deadline is over by the time that is looked at, and it says to wait once.
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&frame::bare(Verb::Wait)).unwrap();
        let begin = Instant::now();
        assert!(receive(&ours, &[], begin).is_err());
        assert!(begin.elapsed() < Patience::ALL);
    }

    #[test]
    fn a_silent_daemon_is_not_waited_for() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(30);
        let error = exchange(&ours, &frame::bare(Verb::Retire), deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
