//! Reading journals back.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::journal::Line;
use super::writer::global_files;

/// Calls `each` with the lines of one journal, the latest first, until it breaks. Gives the
/// number of lines that made no sense: cut off, or written by something else.
pub fn latest_first(
    path: &Path,
    each: &mut impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<(u64, ControlFlow<()>)> {
    let bytes = std::fs::read(path)?;
    let mut skipped = 0;
    for line in bytes.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(line) => {
                if each(line).is_break() {
                    return Ok((skipped, ControlFlow::Break(())));
                }
            }
            Err(_) => skipped += 1,
        }
    }
    Ok((skipped, ControlFlow::Continue(())))
}

/// The same over the global journal of a root, rotated parts included.
pub fn global_latest_first(root: &Path, mut each: impl FnMut(Line) -> ControlFlow<()>) -> u64 {
    let mut skipped = 0;
    for path in global_files(root).iter().rev() {
        let Ok((bad, flow)) = latest_first(path, &mut each) else { continue };
        skipped += bad;
        if flow.is_break() {
            break;
        }
    }
    skipped
}
