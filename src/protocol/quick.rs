//! The short form of a hit, for a client that has not even started its C library
//! (`sys::quick`): plain fields at fixed sizes, little endian, no decoder needed.
//!
//! A client that can read it says so in the header (`Header::quick`). Payload:
//!
//! ```text
//! u8 flags (1: fine times)   u8 outputs   u8 chunks
//! each output: u8 flags (1: executable, 2: in place, 4: inline, 8: replaces a file
//!              only: see `WriteStyle::ReplaceFile`)
//!              u16 length, path ended by NUL
//!   inline:    u32 length, bytes
//!   else:      [u8; 32] blob id, u64 size, u64 inode, i64 mtime ns, i64 ctime ns,
//!              u16 length, path of the blob ended by NUL
//! each chunk:  u8 stream (1 or 2)   u32 length, bytes
//! ```
//!
//! The client's report, for each blob it linked: `[u8; 32] id, u8 trusted, u64 inode,
//! u64 size, i64 mtime ns, i64 ctime ns`.

use super::message::{Content, Delivery, Stream};
use crate::store::blob::{BlobId, BlobStat};
use crate::tools::command::WriteStyle;

pub const FINE_TIMES: u8 = 1;
pub const EXECUTABLE: u8 = 1;
pub const IN_PLACE: u8 = 2;
pub const INLINE: u8 = 4;
pub const REPLACES_FILE: u8 = 8;
/// More outputs than this take the long form.
pub const OUTPUTS_MAX: usize = 8;
/// A longer payload takes the long form; the client's buffer holds it with the header.
pub const PAYLOAD_MAX: usize = 48 << 10;
/// Bytes of one entry of a report.
pub const REPORT_BYTES: usize = 32 + 1 + 4 * 8;

/// A hit in the short form, which is for success only. `seen` tells the stat each blob should
/// have; None when the hit does not fit the form.
pub fn encode(
    deliveries: &[impl AsRef<Delivery>],
    fine_times: bool,
    blob_path: impl Fn(&BlobId) -> Vec<u8>,
    seen: impl Fn(&BlobId, Option<BlobStat>) -> Option<BlobStat>,
) -> Option<Vec<u8>> {
    let all = || deliveries.iter().map(AsRef::as_ref);
    let outputs = all().map(|delivery| delivery.outputs.len()).sum::<usize>();
    let chunks = all().map(|delivery| delivery.text.len()).sum::<usize>();
    if outputs > OUTPUTS_MAX || all().any(|delivery| delivery.status != 0) {
        return None;
    }
    let flags = if fine_times { FINE_TIMES } else { 0 };
    let mut out = vec![flags, outputs as u8, u8::try_from(chunks).ok()?];
    for output in all().flat_map(|delivery| &delivery.outputs) {
        let mut flags = 0;
        if output.executable {
            flags |= EXECUTABLE;
        }
        flags |= match output.style {
            WriteStyle::Replace => 0,
            WriteStyle::InPlace => IN_PLACE,
            WriteStyle::ReplaceFile => REPLACES_FILE,
            WriteStyle::Packed | WriteStyle::Among => return None,
        };
        match &output.content {
            Content::Inline(bytes) => {
                out.push(flags | INLINE);
                put_name(&mut out, &output.path)?;
                out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Content::Blob { id, size, seen: recorded } => {
                let stat = seen(id, *recorded)?;
                out.push(flags);
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

/// The entries of a short report; what is cut off is left out.
pub fn decode_report(payload: &[u8]) -> Vec<(BlobId, Option<BlobStat>)> {
    let entry = |bytes: &[u8]| -> Option<(BlobId, Option<BlobStat>)> {
        let id = BlobId(*bytes.first_chunk()?);
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let stat = BlobStat {
            inode: long(33)?,
            size: long(41)?,
            mtime_ns: long(49)? as i64,
            ctime_ns: long(57)? as i64,
        };
        Some((id, (bytes[32] != 0).then_some(stat)))
    };
    payload.chunks_exact(REPORT_BYTES).filter_map(entry).collect()
}
