//! Reads tar in all its dialects.

use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::tree::{About, Tree, hostile};

pub(super) fn unpack(from: &mut dyn Read, tree: &mut Tree<'_>) -> io::Result<()> {
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let nanos = precise(&mut entry)?;
        let header = entry.header();
        let mtime = nanos.or(header.mtime().ok().map(|seconds| (seconds as i64, 0)));
        let about = About { mode: header.mode()?, mtime };
        let link = |entry: &tar::Entry<'_, _>| {
            let target = entry.link_name()?.map(|target| target.into_owned());
            target.ok_or_else(|| hostile(format!("{} is a link to nothing", name.display())))
        };
        match header.entry_type() {
            // What ends in a slash was a folder before there was a type for it.
            EntryType::Regular if entry.path_bytes().ends_with(b"/") => {
                tree.folder(&name, about)?
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                tree.file(&name, about, &mut entry)?;
            }
            EntryType::Directory => tree.folder(&name, about)?,
            EntryType::Symlink => tree.symlink(&name, &link(&entry)?, about)?,
            EntryType::Link => tree.hard_link(&name, &link(&entry)?)?,
            kind @ (EntryType::Char | EntryType::Block | EntryType::Fifo) => {
                return Err(hostile(format!("{} is a {}", name.display(), shown(kind))));
            }
            EntryType::XGlobalHeader => {}
            other => {
                let other = char::from(other.as_byte()).escape_default();
                return Err(hostile(format!("{} is of an unknown kind, {other}", name.display())));
            }
        }
    }
    Ok(())
}

fn shown(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Fifo => "named pipe",
        _ => "device",
    }
}

/// The time with its fraction, where a pax header has it.
fn precise<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<(i64, u32)>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    for extension in extensions {
        let extension = extension?;
        if extension.key() == Ok("mtime") {
            return Ok(extension.value().ok().and_then(seconds));
        }
    }
    Ok(None)
}

/// `123.5` as seconds and nanoseconds.
fn seconds(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let (whole, nanos): (i64, u32) = (whole.parse().ok()?, digits.parse().ok()?);
    if whole < 0 || text.starts_with('-') { Some((whole, 0)) } else { Some((whole, nanos)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_seconds() {
        assert_eq!(seconds("12"), Some((12, 0)));
        assert_eq!(seconds("12.5"), Some((12, 500_000_000)));
        assert_eq!(seconds("12.0000000019"), Some((12, 1)));
        assert_eq!(seconds("x"), None);
    }
}
