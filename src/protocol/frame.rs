//! Framing: a fixed header that every version understands, then a payload that only the
//! same build decodes.
//!
//! Header, little endian: magic (4), verb (4), payload length (4), flags (4: 1 the sender reads
//! short hits, 2 the payload begins with the sender's view), version (8), build (8). The header's layout never changes; that is what lets a newer client retire an
//! older daemon whose messages it can't read.

use std::io::{self, Read};

use crate::protocol::view::{VIEW_BYTES, View};

/// Bytes in a header.
pub const HEADER_BYTES: usize = 32;
/// Longest payload taken: twice the kernel's usual limit for argv and environment together,
/// with room for the text of a noisy compile.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;

pub const MAGIC: u32 = u32::from_le_bytes(*b"ZCC\x01");

/// What a frame is for; the only part a different build acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verb {
    /// A postcard message of this build.
    Message = 0,
    /// To a daemon: leave, a newer client wants to start its own.
    Retire = 1,
    /// To a client: this daemon is of another build; the header says which.
    OtherBuild = 2,
    /// To a client: done, or refused to leave because the daemon is newer.
    Leaving = 3,
    Refused = 4,
    /// To a client that reads them: a hit in the short form (`protocol::quick`).
    QuickHit = 5,
    /// To a client: the answer comes later, be patient anew.
    Wait = 6,
}

/// Which program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// major, minor, patch as 16 bits each, so that numbers compare as versions do.
    pub version: u64,
    /// Hash of the sources this binary was built from.
    pub id: u64,
}

impl Build {
    /// The running program's own.
    pub const fn own() -> Build {
        const fn number(text: &str) -> u64 {
            let bytes = text.as_bytes();
            let (mut value, mut i) = (0, 0);
            while i < bytes.len() {
                value = value * 10 + (bytes[i] - b'0') as u64;
                i += 1;
            }
            value
        }
        const VERSION: u64 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 32
            | number(env!("CARGO_PKG_VERSION_MINOR")) << 16
            | number(env!("CARGO_PKG_VERSION_PATCH"));
        const ID: u64 = number(env!("ZCCACHE_BUILD_ID"));
        Build { version: VERSION, id: ID }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub verb: Verb,
    pub length: usize,
    pub build: Build,
    /// The sender reads short hits, and is done with the connection when it has got one.
    pub quick: bool,
    /// The payload begins with the sender's `View`.
    pub viewed: bool,
}

impl Header {
    /// None where the bytes are not a header, or promise more than is ever sent.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(0) != MAGIC {
            return None;
        }
        let verb = match word(4) {
            0 => Verb::Message,
            1 => Verb::Retire,
            2 => Verb::OtherBuild,
            3 => Verb::Leaving,
            4 => Verb::Refused,
            5 => Verb::QuickHit,
            6 => Verb::Wait,
            _ => return None,
        };
        let length = word(8) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return None;
        }
        let build = Build { version: long(16), id: long(24) };
        let (quick, viewed) = (word(12) & 1 != 0, word(12) & 2 != 0);
        if viewed && length < VIEW_BYTES {
            return None;
        }
        Some(Header { verb, length, build, quick, viewed })
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.verb as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.length as u32).to_le_bytes());
        bytes[12] = u8::from(self.quick) | u8::from(self.viewed) << 1;
        bytes[16..24].copy_from_slice(&self.build.version.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.build.id.to_le_bytes());
        bytes
    }
}

/// A frame without a payload.
pub fn bare(verb: Verb) -> Vec<u8> {
    own(verb, 0).encode().to_vec()
}

/// A whole frame around a payload.
pub fn around(verb: Verb, payload: &[u8]) -> Vec<u8> {
    [&own(verb, payload.len()).encode()[..], payload].concat()
}

/// A whole frame with a message. Fails only on a message over the limit.
pub fn message(body: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    after(own(Verb::Message, 0), &[], body)
}

/// A message to a daemon, with what this process sees: without that it counts as foreign.
pub fn question(body: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    match View::own() {
        Some(view) => after(Header { viewed: true, ..own(Verb::Message, 0) }, &view.0, body),
        None => message(body),
    }
}

fn own(verb: Verb, length: usize) -> Header {
    Header { verb, length, build: Build::own(), quick: false, viewed: false }
}

fn after(header: Header, first: &[u8], body: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let begin = [&[0; HEADER_BYTES], first].concat();
    let mut bytes = postcard::to_extend(body, begin).map_err(io::Error::other)?;
    let length = bytes.len() - HEADER_BYTES;
    if length > PAYLOAD_BYTES_MAX {
        return Err(io::Error::other("message too long"));
    }
    bytes[..HEADER_BYTES].copy_from_slice(&Header { length, ..header }.encode());
    Ok(bytes)
}

/// Reads one frame from a blocking stream.
pub fn read(stream: &mut impl Read) -> io::Result<(Header, Vec<u8>)> {
    let mut head = [0; HEADER_BYTES];
    stream.read_exact(&mut head)?;
    let header = Header::decode(&head).ok_or_else(|| io::Error::other("not a zccache frame"))?;
    let mut payload = vec![0; header.length];
    stream.read_exact(&mut payload)?;
    Ok((header, payload))
}
