//! Reading what a tool writes to its two streams, in the order it arrives.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::text::{self, Held};
use crate::protocol::message::{Chunk, Stream};

/// More text than this is not kept, but passed on as it comes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;
/// What is read at a time, as much as a pipe holds. The memory is touched as far as there is text: mostly there is none.
const READ_BYTES: usize = 64 << 10;
/// How long the streams may stay open once the tool has ended. Only a process that it left
/// behind keeps them, and the bare tool's caller would not wait for that one either.
const AFTER_END: Duration = Duration::from_millis(200);

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub struct Captured {
    pub text: Vec<Chunk>,
    /// The text is not all there was: it can't be replayed.
    pub lost: bool,
}

/// Reads the streams until the last writer has closed them, or shortly after `ended` (a
/// pidfd) says that the tool is gone. `live`: the text is also passed on as it comes.
pub fn capture(
    streams: Vec<(Stream, OwnedFd)>,
    ended: Option<BorrowedFd<'_>>,
    held: &mut Held,
    limit: usize,
    live: bool,
) -> Captured {
    let mut open = streams;
    let mut captured = Captured::default();
    let mut kept = 0;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    let mut ended = ended;
    let mut last: Option<Instant> = None;
    while !open.is_empty() {
        let mut fds: Vec<PollFd<'_>> =
            open.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)).collect();
        if let Some(ended) = ended {
            fds.push(PollFd::from_borrowed_fd(ended, PollFlags::IN));
        }
        let left = last.map(|last| last.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() });
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Ok(0) => {
                captured.lost = true;
                break;
            }
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => {
                captured.lost = true;
                break;
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ended.is_some() && ready.last() == Some(&true) {
            ended = None;
            last = Some(Instant::now() + AFTER_END);
        }
        // Backwards, so that a closed stream can be taken out. With both ready at once the
        // order is anyone's guess; messages before other output is the likelier one.
        for at in (0..open.len()).rev() {
            if !ready[at] {
                continue;
            }
            let stream = open[at].0;
            buffer.clear();
            let count = match rustix::io::read(open[at].1.as_fd(), spare_capacity(&mut buffer)) {
                Ok(0) => None,
                Ok(count) => Some(count),
                Err(Errno::INTR | Errno::AGAIN) => continue,
                // EIO is how a pseudoterminal says that the other end is closed.
                Err(_) => None,
            };
            let Some(count) = count else {
                open.remove(at);
                continue;
            };
            if !captured.lost && kept + count <= limit {
                text::append(&mut captured.text, stream, &buffer);
                kept += count;
                if !live {
                    continue;
                }
            } else if !captured.lost {
                captured.lost = true;
                let text = std::mem::take(&mut captured.text);
                if !live {
                    held.hold(text);
                }
            }
            if !held.pass(&Chunk { stream, bytes: buffer.clone() }) {
                // Nobody reads on: let the tool find that out by itself.
                open.remove(at);
            }
        }
    }
    captured
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn of_script(script: &str, limit: usize, held: &mut Held) -> Captured {
        let (out, out_end) = rustix::pipe::pipe().unwrap();
        let (err, err_end) = rustix::pipe::pipe().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(out_end)
            .stderr(err_end)
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let streams = vec![(Stream::Stdout, out), (Stream::Stderr, err)];
        let captured = capture(streams, Some(ended.as_fd()), held, limit, false);
        child.wait().unwrap();
        captured
    }

    #[test]
    fn chunks_come_in_order() {
        let script = "echo a; sleep 0.05; echo b >&2; sleep 0.05; printf c; sleep 0.05; printf d";
        let captured = of_script(script, 100, &mut Held::default());
        let text: Vec<_> =
            captured.text.iter().map(|chunk| (chunk.stream, chunk.bytes.as_slice())).collect();
        let expected: [(Stream, &[u8]); 3] =
            [(Stream::Stdout, b"a\n"), (Stream::Stderr, b"b\n"), (Stream::Stdout, b"cd")];
        assert_eq!(text, expected);
        assert!(!captured.lost);
    }

    #[test]
    fn a_process_left_behind_is_not_waited_for() {
        let start = Instant::now();
        let captured = of_script("echo a; sleep 5 & exit 0", 100, &mut Held::default());
        assert!(start.elapsed() < Duration::from_secs(4));
        assert!(captured.lost);
        assert_eq!(captured.text[0].bytes, b"a\n");
    }

    #[test]
    fn much_text_is_whole() {
        let script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2";
        let captured = of_script(script, TEXT_BYTES_MAX, &mut Held::default());
        let bytes: usize = captured.text.iter().map(|chunk| chunk.bytes.len()).sum();
        assert_eq!((bytes, captured.lost), (6_000_000, false));
    }

    #[test]
    fn too_much_text_is_passed_on() {
        let mut held = Held::default();
        let captured = of_script("printf 1; sleep 0.05; printf 2", 1, &mut held);
        assert!(captured.lost && held.written);
        assert_eq!(captured.text, []);
    }
}
