//! The tool's text on its way to the user.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::protocol::message::{Chunk, Stream};
use crate::sys::signals;

/// So much a pipe takes at once if it takes anything (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// How often who waits for a reader looks whether the tool was told to end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Writes everything, also to a descriptor that is not blocking. Ends early with `INTR` when the tool was told to end
/// meanwhile: a reader that does not read would make us outlive it.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        if matches!(rustix::event::poll(&mut fds, Some(&LOOK)), Ok(0) | Err(Errno::INTR)) {
            if signals::are_passed_on() {
                return Err(Errno::INTR);
            }
            continue;
        }
        match rustix::io::write(fd, &bytes[..bytes.len().min(AT_ONCE)]) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Text held back until it is certain that the tool need not be run again.
#[derive(Default)]
pub struct Held {
    chunks: Vec<Chunk>,
    /// Something was written already: there is no way back to a plain run.
    pub written: bool,
    /// A reader was gone. With SIGPIPE at its default that ends a tool.
    pub broken: bool,
    /// The tool was told to end while nobody read: the rest is not waited for.
    given_up: bool,
}

impl Held {
    /// Keeps text for later.
    pub fn hold(&mut self, chunks: Vec<Chunk>) {
        self.chunks.extend(chunks);
    }

    /// Writes what was held. Where a tool would not notice a failed write, we do not either.
    pub fn release(&mut self) {
        for chunk in std::mem::take(&mut self.chunks) {
            self.write(&chunk);
        }
    }

    /// Writes text at once, after what was held. False: nobody reads this stream any more.
    pub fn pass(&mut self, chunk: &Chunk) -> bool {
        self.release();
        self.write(chunk)
    }

    fn write(&mut self, chunk: &Chunk) -> bool {
        if self.given_up {
            return false;
        }
        let fd = match chunk.stream {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        };
        self.written = true;
        match write_all(fd, &chunk.bytes) {
            Err(Errno::PIPE) => {
                self.broken = true;
                false
            }
            Err(Errno::INTR) => {
                self.given_up = true;
                false
            }
            _ => true,
        }
    }
}

/// Adds text that just arrived, to the last chunk if that is of the same stream.
pub fn append(text: &mut Vec<Chunk>, stream: Stream, bytes: &[u8]) {
    match text.last_mut() {
        Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
        _ => text.push(Chunk { stream, bytes: bytes.to_vec() }),
    }
}

/// Whether the text of one of the streams names this.
pub fn mentions(text: &[Chunk], name: &[u8]) -> bool {
    [Stream::Stdout, Stream::Stderr].into_iter().any(|stream| {
        let whole: Vec<u8> = text
            .iter()
            .filter(|chunk| chunk.stream == stream)
            .flat_map(|chunk| chunk.bytes.iter().copied())
            .collect();
        !name.is_empty() && whole.windows(name.len()).any(|window| window == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_stream_are_one_chunk() {
        let mut text = Vec::new();
        for (stream, bytes) in [
            (Stream::Stderr, b"a".as_slice()),
            (Stream::Stderr, b"b"),
            (Stream::Stdout, b"c"),
            (Stream::Stderr, b"d"),
        ] {
            append(&mut text, stream, bytes);
        }
        assert_eq!(text.len(), 3);
        assert_eq!(text[0].bytes, b"ab");
        assert!(mentions(&text, b"abd"));
        assert!(!mentions(&text, b"abc"));
        assert!(!mentions(&text, b""));
    }

    #[test]
    fn a_closed_reader_is_an_error_and_no_panic() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        // Rust's own start-up, which tests have, ignores SIGPIPE.
        assert_eq!(write_all(std::os::fd::AsFd::as_fd(&writer), b"x"), Err(Errno::PIPE));
    }
}
