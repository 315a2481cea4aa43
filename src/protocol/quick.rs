//! The short form of a hit, for a client that has not even started its C library
//! (`sys::quick`): plain fields at fixed sizes, little endian, no decoder needed.
//!
//! A client that can read it says so in the header (`Header::quick`). Payload:
//!
//! ```text
//! u8 outputs   u8 chunks
//! each output: u8 flags (1: executable, 2: in place, 4: inline, 8: replaces a file
//!              only: see `WriteStyle::ReplaceFile`, 16: a hard link where it is safe,
//!              32: only what may be written to: see `WriteStyle::ReplaceWritable`,
//!              64: what is empty stays: see `WriteStyle::ReplaceFilled`,
//!              128, on the board only: its watch judges the blob, whatever its times are)
//!              u16 length, path ended by NUL
//!   inline:    u32 length, bytes
//!   else:      [u8; 32] blob id, u64 size, u64 inode, i64 mtime ns, i64 ctime ns,
//!              u16 length, path of the blob ended by NUL
//! each chunk:  u8 stream (1 or 2)   u32 length, bytes
//! ```

use super::message::{Content, Delivered, Delivery, Stream};
use crate::terms::blob::BlobId;
use crate::terms::blob::BlobStat;
use crate::terms::output::WriteStyle;

pub const EXECUTABLE: u8 = 1;
pub const IN_PLACE: u8 = 2;
pub const INLINE: u8 = 4;
pub const REPLACES_FILE: u8 = 8;
pub const LINK: u8 = 16;
pub const REPLACES_WRITABLE: u8 = 32;
pub const REPLACES_FILLED: u8 = 64;
pub const WATCHED: u8 = 128;
/// More outputs than this take the long form.
pub const OUTPUTS_MAX: usize = 8;
/// A longer payload takes the long form; the client's buffer holds it with the header.
pub const PAYLOAD_MAX: usize = 48 << 10;

/// How a blob may be handed out in the short form.
pub enum Handing {
    /// The stat it should have.
    Copied(BlobStat),
    /// As `Copied`; links need not be reported, since the daemon watches it.
    Linked(BlobStat),
    /// The same, where the board watches it.
    LinkedFromBoard(BlobStat),
}

/// A hit in the short form, which is for success only. `handing` tells how each blob may be handed out, if it
/// may in this form at all; None when the hit does not fit it.
pub fn encode(
    deliveries: &[impl AsRef<Delivery>],
    blob_path: impl Fn(&BlobId) -> Vec<u8>,
    handing: impl Fn(&Delivered) -> Option<Handing>,
) -> Option<Vec<u8>> {
    let all = || deliveries.iter().map(AsRef::as_ref);
    let outputs = all().map(|delivery| delivery.outputs.len()).sum::<usize>();
    let chunks = all().map(|delivery| delivery.text.len()).sum::<usize>();
    if outputs > OUTPUTS_MAX || all().any(|delivery| delivery.status != 0) {
        return None;
    }
    let mut out = vec![outputs as u8, u8::try_from(chunks).ok()?];
    for output in all().flat_map(|delivery| &delivery.outputs) {
        let mut flags = 0;
        if output.executable {
            flags |= EXECUTABLE;
        }
        flags |= match output.style {
            WriteStyle::Replace => 0,
            WriteStyle::InPlace => IN_PLACE,
            WriteStyle::ReplaceFile => REPLACES_FILE,
            WriteStyle::ReplaceWritable => REPLACES_WRITABLE,
            WriteStyle::ReplaceFilled => REPLACES_FILLED,
            WriteStyle::Packed | WriteStyle::Among => return None,
        };
        match &output.content {
            Content::Inline(bytes) => {
                out.push(flags | INLINE);
                put_name(&mut out, &output.path)?;
                out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Content::Blob { id, size, .. } => {
                let (stat, link) = match handing(output)? {
                    Handing::Copied(stat) => (stat, 0),
                    Handing::Linked(stat) => (stat, LINK),
                    Handing::LinkedFromBoard(stat) => (stat, LINK | WATCHED),
                };
                out.push(flags | link);
                put_name(&mut out, &output.path)?;
                out.extend_from_slice(&id.0);
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(&stat.inode.to_le_bytes());
                out.extend_from_slice(&stat.mtime_ns.to_le_bytes());
                out.extend_from_slice(&stat.ctime_ns.to_le_bytes());
                put_name(&mut out, &blob_path(id))?;
            }
        }
    }
    for chunk in all().flat_map(|delivery| &delivery.text) {
        out.push(match chunk.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        });
        out.extend_from_slice(&u32::try_from(chunk.bytes.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&chunk.bytes);
    }
    (out.len() <= PAYLOAD_MAX).then_some(out)
}

fn put_name(out: &mut Vec<u8>, name: &[u8]) -> Option<()> {
    out.extend_from_slice(&u16::try_from(name.len() + 1).ok()?.to_le_bytes());
    out.extend_from_slice(name);
    out.push(0);
    Some(())
}
