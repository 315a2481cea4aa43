//! What is in an archive, and whether that follows from what was put into it.

use object::read::archive::ArchiveFile;

use super::command::Operation;
use crate::files::ContentHash;
use crate::tools::find::base;

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    name: Vec<u8>,
    /// Time, owner, group and mode.
    stamps: [Option<u64>; 4],
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Here(ContentHash),
    /// Of a thin archive: the size.
    Elsewhere(u64),
}

/// A file that is put into an archive.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) path: Vec<u8>,
    pub(super) hash: ContentHash,
    pub(super) bytes: u64,
}

/// The members of an archive in order. None: it is none that can be read. Without `stamped` what
/// is said of times and owners is left out.
pub(super) fn members(archive: &[u8], stamped: bool) -> Option<Vec<Member>> {
    let file = ArchiveFile::parse(archive).ok()?;
    let members = file.members().map(|member| {
        let member = member.ok()?;
        let content = if member.is_thin() {
            Content::Elsewhere(member.size())
        } else {
            let bytes = member.data(archive).ok()?;
            Content::Here(ContentHash(*blake3::hash(bytes).as_bytes()))
        };
        let stamps = [member.date(), member.uid(), member.gid(), member.mode()];
        let stamps = if stamped { stamps } else { [None; 4] };
        Some(Member { name: base(member.name()).to_vec(), stamps, content })
    });
    members.collect()
}

/// Whether `after` is what the operation makes of `before`. Had the archive been another one when
/// the tool read it, one of its members would tell.
pub(super) fn follows(
    before: &[Member],
    after: &[Member],
    operation: Operation,
    added: &[Added],
    positioned: bool,
) -> bool {
    let is_added = |member: &&Member| {
        operation == Operation::Replace && added.iter().any(|file| base(&file.path) == member.name)
    };
    let fits = |member: &Member, file: &Added| {
        base(&file.path) == member.name
            && match member.content {
                Content::Here(hash) => hash == file.hash,
                Content::Elsewhere(bytes) => bytes == file.bytes,
            }
    };
    match operation {
        Operation::Index => before == after,
        Operation::Append => {
            let Some((kept, new)) = after.split_at_checked(before.len()) else { return false };
            let pairs = || new.iter().zip(added);
            kept == before && new.len() == added.len() && pairs().all(|(one, file)| fits(one, file))
        }
        Operation::Replace => {
            let others = |list: &'_ [Member]| -> Vec<Member> {
                list.iter().filter(|member| !is_added(member)).cloned().collect()
            };
            let mut names: Vec<&[u8]> = before.iter().map(|member| &member.name[..]).collect();
            let mut to_replace = names.clone();
            for name in added.iter().map(|file| base(&file.path)) {
                // Each file takes the place of one member that was there: of two of one name each gets its own.
                match to_replace.iter().position(|one| *one == name) {
                    Some(at) => drop(to_replace.remove(at)),
                    None => names.push(name),
                }
            }
            let in_order = || after.iter().map(|member| &member.name[..]).eq(names.iter().copied());
            others(before) == others(after)
                && (positioned || in_order())
                && after.iter().filter(is_added).all(|member| {
                    added.iter().any(|file| fits(member, file)) || before.contains(member)
                })
                && added.iter().all(|file| after.iter().any(|member| fits(member, file)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> ContentHash {
        ContentHash(*blake3::hash(text.as_bytes()).as_bytes())
    }

    fn list(text: &str) -> Vec<Member> {
        let member = |word: &str| {
            let (name, content) = word.split_once('=').unwrap();
            Member { name: name.into(), stamps: [None; 4], content: Content::Here(hash(content)) }
        };
        text.split_whitespace().map(member).collect()
    }

    fn files(text: &str) -> Vec<Added> {
        let file = |word: &str| {
            let (name, content) = word.split_once('=').unwrap();
            Added { path: format!("d/{name}").into(), hash: hash(content), bytes: 0 }
        };
        text.split_whitespace().map(file).collect()
    }

    #[test]
    fn what_follows_and_what_does_not() {
        use Operation::{Append, Index, Replace};
        let check = |before, operation, added, after| {
            follows(&list(before), &list(after), operation, &files(added), false)
        };
        assert!(check("", Replace, "a=1 b=2", "a=1 b=2"));
        assert!(check("a=0 x=9", Replace, "a=1 b=2", "a=1 x=9 b=2"));
        assert!(check("a=0 x=9", Append, "a=1", "a=0 x=9 a=1"));
        assert!(check("a=0", Index, "", "a=0"));
        assert!(check("", Replace, "a=1 a=2", "a=1 a=2"));
        assert!(check("a=0", Replace, "a=1 a=2", "a=1 a=2"));
        assert!(check("a=8 a=9", Replace, "a=1 a=2", "a=1 a=2"));
        assert!(!check("", Replace, "a=1 a=2", "a=2"));
        // Somebody else was there in between.
        assert!(!check("", Replace, "a=1", "y=5 a=1"));
        assert!(!check("x=9", Replace, "a=1", "x=8 a=1"));
        assert!(!check("x=9 a=0", Replace, "a=1", "a=1 x=9"));
        assert!(!check("x=9", Append, "a=1", "a=1"));
        assert!(!check("x=9", Index, "", "x=8"));
        // Or a file changed while it was read.
        assert!(!check("", Replace, "a=1", "a=2"));
    }

    #[test]
    fn a_real_archive_is_read() {
        let text = b"!<arch>\na.o/            0           0     0     644     2         `\nhi";
        let found = members(text, true).unwrap();
        assert_eq!((found.len(), &found[0].name[..]), (1, &b"a.o"[..]));
        assert_eq!(found[0].content, Content::Here(hash("hi")));
        assert_eq!(members(b"!<arch>\njunk", true), None);
        assert_eq!(members(b"junk", true), None);
    }
}
