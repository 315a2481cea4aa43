//! The shared libraries that a procedural macro brings into rustc: the loader finds them when rustc loads the macro, and
//! what they do shows in what the macro makes.

use std::collections::HashSet;

use crate::inputs::resolve::Presence;
use crate::session::reason::Reason;
use crate::tools::find::{absolute, folder_of};
use crate::tools::link::binary::{self, Content, Needed};
use crate::tools::needs::Needs;
use crate::tools::places::Places;

/// Where the loader looks first.
const VARIABLE: &[u8] = b"LD_LIBRARY_PATH";

/// Where the loader looks last (glibc, Debian's and others' layouts), but for what `ld.so.conf` adds.
const USUAL: [&[u8]; 6] = [
    b"/lib/x86_64-linux-gnu",
    b"/usr/lib/x86_64-linux-gnu",
    b"/lib64",
    b"/usr/lib64",
    b"/lib",
    b"/usr/lib",
];

/// The C library and the compiler's own: the same for every macro, and known as parts of the compiler.
fn is_rustcs_own(name: &[u8]) -> bool {
    let own = [
        &b"libc.so."[..],
        b"libm.so.",
        b"libdl.so.",
        b"librt.so.",
        b"libpthread.so.",
        b"libgcc_s.so.",
        b"ld-linux-",
        b"librustc_driver-",
        b"libstd-",
    ];
    own.iter().any(|start| name.starts_with(start))
}

/// What a library needs beside those. None: nothing.
pub(super) fn others(library: Content) -> Option<Needed> {
    let Content::Shared(mut needed) = library else { return None };
    needed.names.retain(|name| !is_rustcs_own(name));
    (!needed.names.is_empty()).then_some(needed)
}

/// Adds what a macro's file needs (`others`), and what that needs, to the inputs, with the places where the loader looks
/// before.
pub(super) fn add(
    inputs: &mut Needs<'_, '_>,
    places: &Places,
    cwd: &[u8],
    macro_file: &[u8],
    needs: &Needed,
) -> Result<(), Reason> {
    inputs.set.env.push(VARIABLE.to_vec());
    let variable = folders_of_variable(inputs.ground.env.get(VARIABLE).unwrap_or_default(), cwd);
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut waiting = vec![(absolute(cwd, macro_file), needs.clone())];
    while let Some((file, needs)) = waiting.pop() {
        let folders = searched(&needs, &file, &variable);
        for name in needs.names {
            if !seen.insert(name.clone()) {
                continue;
            }
            let paths = folders.iter().map(|folder| [folder, &b"/"[..], &name].concat());
            let found = paths.into_iter().find(|path| {
                let spelled = places.spell(path);
                inputs.maybe(&spelled);
                matches!(inputs.presence(&spelled), Presence::File(_))
            });
            let found = found.ok_or(Reason::DependencyOutput)?;
            let library = binary::inspect(&found).ok_or(Reason::ChangedDuringCompile)?;
            waiting.extend(others(library).map(|more| (found, more)));
        }
    }
    Ok(())
}

/// Where the loader looks for what a file needs, in order.
fn searched(needs: &Needed, file: &[u8], variable: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let [rpath, runpath] = needs.folders(folder_of(file));
    // It minds the older of the two only where there is no other.
    let before = if runpath.is_empty() { rpath } else { Vec::new() };
    let usual: Vec<Vec<u8>> = USUAL.iter().map(|folder| folder.to_vec()).collect();
    let mut folders = [&before[..], variable, &runpath, &usual].concat();
    folders.retain(|folder| !folder.is_empty());
    folders
}

/// The folders that `LD_LIBRARY_PATH` names; an empty part is the working folder.
fn folders_of_variable(value: &[u8], cwd: &[u8]) -> Vec<Vec<u8>> {
    if value.is_empty() {
        return Vec::new();
    }
    let parts = value.split(|byte| matches!(byte, b':' | b';'));
    parts.map(|part| absolute(cwd, if part.is_empty() { b"." } else { part })).collect()
}
