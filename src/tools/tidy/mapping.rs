//! The mapping files of include-what-you-use, and those that they name by `ref`.

use std::collections::BTreeSet;

use crate::files::{PathId, Seen};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::find::absolute;
use crate::tools::refusal::{Refusal, refused};

/// Every path (absolute) that is read or looked for because of these files. It looks for a file that
/// is named in another beside that one, and where it looked for those before; here each is looked
/// for in all folders met.
pub(super) fn files(
    caller: Caller<'_>,
    given: &[Arg],
    depends: &mut Vec<PathId>,
) -> Result<Vec<Arg>, Refusal> {
    let mut names: BTreeSet<Arg> = given.iter().cloned().collect();
    let mut folders: BTreeSet<Arg> = BTreeSet::from([caller.cwd.to_vec()]);
    let mut seen: BTreeSet<Arg> = BTreeSet::new();
    loop {
        let candidates: BTreeSet<Arg> = names
            .iter()
            .flat_map(|name| folders.iter().map(|folder| absolute(folder, name)))
            .collect();
        let new: Vec<Arg> = candidates.difference(&seen).cloned().collect();
        if new.is_empty() {
            return Ok(seen.into_iter().collect());
        }
        for path in new {
            let id = caller.table.intern(&path);
            depends.push(id);
            if let Seen::File { hash: Some(hash), .. } = caller.table.look(id, true)
                && let Some(text) = caller.table.text(id, &hash)
            {
                let named =
                    references(&text).ok_or_else(|| refused(Reason::UncacheableArgument, &path))?;
                names.extend(named);
                let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                folders.insert(path[..slash].to_vec());
            }
            seen.insert(path);
        }
    }
}

/// Longer than any path, and more than any mapping file names.
const PATH_BYTES_MAX: usize = 4096;
const MOST: usize = 10_000;

/// The values of every `ref:` in a mapping file; too many do no harm. None where one can't be read, or
/// there are too many to follow.
pub(super) fn references(text: &[u8]) -> Option<Vec<Arg>> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(text, b"ref") {
        if at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_') {
            continue;
        }
        let rest = &text[at + 3..];
        let rest = rest.strip_prefix(b"\"").or(rest.strip_prefix(b"'")).unwrap_or(rest);
        let Some(rest) = rest.trim_ascii_start().strip_prefix(b":") else { continue };
        let rest = rest.trim_ascii_start();
        let value = match rest.first()? {
            quote @ (b'"' | b'\'') => {
                let end = rest[1..].iter().position(|byte| byte == quote)?;
                &rest[1..=end]
            }
            _ => {
                let ends = |byte: &u8| b",}] \n\r\t".contains(byte);
                &rest[..rest.iter().position(ends)?]
            }
        };
        if value.contains(&b'\\') || value.len() > PATH_BYTES_MAX || found.len() == MOST {
            return None;
        }
        found.push(value.to_vec());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found() {
        let text = b"[ { ref: \"a.imp\" }, {\"ref\" : 'd/b.imp'}, { ref: c.imp },\n\
                     { include: [\"<ref>\", \"private\", \"<href: x>\", \"public\"] } ]";
        let found = references(text).unwrap();
        assert_eq!(found, [b"a.imp".to_vec(), b"d/b.imp".to_vec(), b"c.imp".to_vec()]);
        assert_eq!(references(b"[{ ref: \"a\\\"b\" }]"), None);
        assert_eq!(references("ref:".repeat(100_000).as_bytes()), None);
    }
}
