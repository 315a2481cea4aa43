//! The link at the end of a rustc command: how the linker is asked for its list, and what
//! follows from that.

use super::native;
use super::parse::Command;
use crate::inputs::depfile;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::environment::Environment;
use crate::tools::find::{absolute, base};
use crate::tools::link::listed;
use crate::tools::link::options::{Said, library_names};
use crate::tools::link::tool::Linker;
use crate::tools::meaning::Ground;
use crate::tools::needs::Needs;
use crate::tools::places::Places;

/// What does the linking, and what the user says to it.
#[derive(Debug)]
pub(super) struct Linking {
    /// By `-C link-arg`.
    pub(super) said: Said,
    pub(super) linker: Linker,
    /// Folders that are searched without the user naming them.
    pub(super) folders: Vec<Arg>,
}

/// Where a command runs, and how its paths are stored.
pub(super) struct Site<'a> {
    pub(super) places: &'a Places,
    pub(super) cwd: &'a [u8],
    pub(super) sysroot: &'a [u8],
    pub(super) env: Environment<'a>,
}

impl Linking {
    /// Looks at what the user names to the linker. Which of a folder's libraries are asked for only the sources tell.
    pub(super) fn look_ahead(&self, ground: &mut Ground<'_>, places: &Places, cwd: &[u8]) {
        listed::look_ahead(ground, &self.said, &[], places);
        for folder in &self.said.folders {
            for name in native::own_names(&absolute(cwd, folder)) {
                let path = [folder, &b"/"[..], &name].concat();
                let path = ground.world.intern(&places.spell(&path));
                ground.world.presence(path);
            }
        }
    }

    /// Adds the inputs of a link, by the linker's list of what it read.
    pub(super) fn inputs(
        &self,
        needs: &mut Needs<'_, '_>,
        command: &Command,
        site: &Site<'_>,
        text: &[u8],
    ) -> Result<(), Reason> {
        let (said, listed) =
            self.found(command, site.sysroot, text).ok_or(Reason::DependencyOutput)?;
        let link = listed::Link {
            linker: self.linker,
            said: &said,
            folders: &self.folders,
            places: site.places,
            cwd: site.cwd,
            env: site.env,
        };
        listed::inputs(needs, &link, Some(listed))
    }

    /// What the whole command says to the linker, rustc's part of it too, and what was found in
    /// folders. None: the text is not a list.
    fn found(&self, command: &Command, sysroot: &[u8], text: &[u8]) -> Option<(Said, Vec<Arg>)> {
        let mut said = self.said.clone();
        let native = command.folders.iter().filter(|folder| folder.has_native());
        said.folders.extend(native.map(|folder| folder.path.clone()));
        let mut listed = Vec::new();
        let read = depfile::rules(text)?.into_iter().next()?.prerequisites;
        for path in read.into_iter().filter(|path| !is_passing(path)) {
            // The compiler's own libraries are part of its identity.
            let own = path.strip_prefix(sysroot);
            let is_own = own.is_some_and(|rest| rest.starts_with(b"/lib/rustlib/"));
            if path.ends_with(b".rlib") {
                // Crates are named by their paths.
                said.files.extend((!is_own).then_some(path));
            } else if is_own {
                let stem = [&b".so"[..], b".a"].iter().find_map(|end| path.strip_suffix(*end));
                let stem = stem.and_then(|stem| base(stem).strip_prefix(b"lib"));
                said.names.extend(stem.into_iter().flat_map(library_names));
            } else {
                listed.push(path);
            }
        }
        Some((said, listed))
    }
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
    fn what_is_named_and_what_is_looked_for() {
        let argv = ["--crate-name", "a", "a.rs", "--crate-type", "bin", "-L", "native=/n"];
        let argv: Vec<Arg> = argv.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let command = parse(&argv, &mut |_| None).unwrap();
        let text = b"o: /l/crt1.o /t/rustcAb12Cd/symbols.o a.x.rcgu.o d/libb-1.rlib \\\n \
            /s/lib/rustlib/x/lib/libcore-1.rlib /s/lib/rustlib/x/lib/libz.so /l/libc.so\n\n/l/crt1.o:\n";
        let linking = Linking { said: Said::default(), linker: Linker::Lld, folders: Vec::new() };
        let (said, listed) = linking.found(&command, b"/s", text).unwrap();
        assert_eq!(listed, [b"/l/crt1.o".to_vec(), b"/l/libc.so".to_vec()]);
        assert_eq!(said.files, [b"d/libb-1.rlib".to_vec()]);
        assert_eq!(said.folders, [b"/n".to_vec()]);
        assert_eq!(said.names, [b"libz.so".to_vec(), b"libz.a".to_vec()]);
        assert!(linking.found(&command, b"/s", b"junk").is_none());
    }
}
