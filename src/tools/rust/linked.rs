//! What a linker read, by its own dependency output.

use super::parse::Command;
use crate::inputs::depfile;
use crate::tools::command::Arg;

/// Files read, and places where a library could come to be found earlier.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Linked {
    pub(super) read: Vec<Vec<u8>>,
    pub(super) candidates: Vec<Vec<u8>>,
}

/// Reads the linker's list. `folders` are those the linker searches by itself. None when it
/// is not a list.
pub(super) fn linked(text: &[u8], command: &Command, folders: &[Vec<u8>]) -> Option<Linked> {
    let rule = depfile::rules(text)?.into_iter().next()?;
    let mut linked = Linked::default();
    let native = command.folders.iter().filter(|folder| folder.has_native());
    let by_args = command.link_args.iter().filter_map(|arg| arg.strip_prefix(b"-L"));
    let searched: Vec<&[u8]> = native
        .map(|folder| &folder.path[..])
        .chain(by_args)
        .chain(folders.iter().map(|folder| &folder[..]))
        .collect();
    for path in rule.prerequisites {
        if is_passing(&path) {
            continue;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let ends = [&b".so"[..], b".a"];
        let stem = ends.iter().find_map(|end| name.strip_suffix(*end));
        if let Some(stem) = stem.filter(|stem| stem.starts_with(b"lib")) {
            for folder in &searched {
                for end in ends {
                    linked.candidates.push([folder, &b"/"[..], stem, end].concat());
                }
            }
        }
        linked.read.push(path);
    }
    Some(linked)
}

/// rustc's own objects, made for this link and gone after it: in a folder named `rustc` and
/// six letters or digits, or named `CRATE.….rcgu.o`.
fn is_passing(path: &[u8]) -> bool {
    path.ends_with(b".rcgu.o")
        || path.split(|byte| *byte == b'/').any(|part| {
            part.strip_prefix(b"rustc").is_some_and(|random| {
                random.len() == 6 && random.iter().all(u8::is_ascii_alphanumeric)
            })
        })
}

/// Asks the linker for its list.
pub(super) fn request(path: &[u8]) -> [Arg; 2] {
    [b"-C".to_vec(), [b"link-arg=-Wl,--dependency-file=", path].concat()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::rust::parse::parse;

    #[test]
    fn own_objects_are_left_out() {
        let argv = ["--crate-name", "a", "a.rs", "--crate-type", "bin", "-L", "native=/n"];
        let argv: Vec<Arg> = argv.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let command = parse(&argv, &mut |_| None).unwrap();
        let text =
            b"o: /l/crt1.o /t/rustcAb12Cd/symbols.o a.x.rcgu.o \\\n /l/libz.a\n\n/l/crt1.o:\n";
        let linked = linked(text, &command, &[b"/l".to_vec()]).unwrap();
        assert_eq!(linked.read, [b"/l/crt1.o".to_vec(), b"/l/libz.a".to_vec()]);
        assert_eq!(linked.candidates[..2], [b"/n/libz.so".to_vec(), b"/n/libz.a".to_vec()]);
        assert_eq!(linked.candidates.len(), 4);
    }
}
