//! One client's connection: bytes in, whole frames out of them; frames to send, bytes out.

use std::io::{self, Read, Write};
use std::time::Instant;

use mio::net::UnixStream;

use crate::protocol::frame::{HEADER_BYTES, Header};
use crate::protocol::view::{VIEW_BYTES, View};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Peer {
    /// Sees the files we see.
    Same,
    /// Lives in another mount namespace or root: its paths mean other files.
    Foreign,
}

/// What a daemon knows of a client beside its bytes.
pub trait Standing: Default {
    /// Something is expected of the client: it may be silent for long.
    fn is_expected(&self) -> bool;
}

pub struct Connection<S> {
    pub stream: UnixStream,
    /// Foreign until it says what it sees.
    pub peer: Peer,
    pub standing: S,
    /// Poll tells of it.
    pub(super) polled: bool,
    /// A worker is busy for this client.
    pub waiting: bool,
    /// When it last said something.
    pub heard: Instant,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
}

/// What reading gave.
pub enum Incoming {
    Frame(Header, Option<View>, Vec<u8>),
    /// Nothing whole yet.
    Partial,
    /// The other end is gone, or talks something else.
    Ended,
}

impl<S: Standing> Connection<S> {
    pub fn new(stream: UnixStream) -> Connection<S> {
        Connection {
            stream,
            peer: Peer::Foreign,
            standing: S::default(),
            polled: false,
            waiting: false,
            heard: Instant::now(),
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
        }
    }

    /// Takes in what has arrived. `ended`: poll says that the other end is done sending. False when
    /// it is.
    pub fn fill(&mut self, buffer: &mut [u8], ended: bool) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    self.heard = Instant::now();
                    // Less than there was room for: poll will tell of more. It has told of the end already.
                    if count < buffer.len() && !ended {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Incoming {
        let Some(head) = self.input.first_chunk::<HEADER_BYTES>() else { return Incoming::Partial };
        let Some(header) = Header::decode(head) else { return Incoming::Ended };
        let end = HEADER_BYTES + header.length;
        if self.input.len() < end {
            return Incoming::Partial;
        }
        let mut payload = &self.input[HEADER_BYTES..end];
        let mut view = None;
        if header.viewed
            && let Some((first, rest)) = payload.split_first_chunk::<VIEW_BYTES>()
        {
            (view, payload) = (Some(View(*first)), rest);
        }
        let payload = payload.to_vec();
        self.input.drain(..end);
        Incoming::Frame(header, view, payload)
    }

    /// True for a client that only holds its place: it waits for nothing, and nothing is
    /// expected of it.
    pub fn is_silent_since(&self, before: Instant) -> bool {
        self.heard < before && !self.waiting && !self.standing.is_expected()
    }

    /// Queues a frame and sends what the socket takes. False when the other end is gone.
    pub fn send(&mut self, frame: &[u8]) -> bool {
        self.output.extend_from_slice(frame);
        self.flush()
    }

    /// The other end has taken all that was sent.
    pub fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// Sends on. False when the other end is gone.
    pub fn flush(&mut self) -> bool {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => return false,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.sent = 0;
        true
    }
}
