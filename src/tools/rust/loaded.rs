//! The shared libraries that a procedural macro brings into rustc: the loader finds them when rustc loads the macro, and
//! what they do shows in what the macro makes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::inputs::resolve::Presence;
use crate::session::reason::Reason;
use crate::tools::find::{absolute, folder_of};
use crate::tools::needs::Needs;
use crate::tools::places::Places;
use crate::tools::program;

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

/// Adds what the macro in this file needs, and that needs, to the inputs, with the places where the loader looks before.
pub(super) fn add(
    inputs: &mut Needs<'_, '_>,
    places: &Places,
    cwd: &[u8],
    macro_file: &[u8],
) -> Result<(), Reason> {
    let variable = inputs.ground.env.get(b"LD_LIBRARY_PATH").unwrap_or_default().to_vec();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut waiting = vec![absolute(cwd, macro_file)];
    while let Some(file) = waiting.pop() {
        let bytes =
            std::fs::read(OsStr::from_bytes(&file)).map_err(|_| Reason::ChangedDuringCompile)?;
        let Some(dynamic) = program::dynamic(&bytes) else { continue };
        let variable =
            variable.split(|byte| matches!(byte, b':' | b';')).filter(|_| !variable.is_empty());
        // An empty part is the working folder.
        let variable =
            variable.map(|folder| absolute(cwd, if folder.is_empty() { b"." } else { folder }));
        let variable: Vec<Vec<u8>> = variable.collect();
        for name in dynamic.needed.iter().filter(|name| !is_rustcs_own(name)) {
            if !seen.insert(name.clone()) {
                continue;
            }
            let own = dynamic.folders.iter().map(|folder| expanded(folder, &file));
            let mut folders: Vec<Vec<u8>> = own.collect();
            let at = if dynamic.before_variable { folders.len() } else { 0 };
            folders.splice(at..at, variable.iter().cloned());
            folders.extend(USUAL.iter().map(|folder| folder.to_vec()));
            inputs.set.env.push(b"LD_LIBRARY_PATH".to_vec());
            let mut found = None;
            for folder in folders {
                let path = [&folder[..], b"/", name].concat();
                let spelled = places.spell(&path);
                inputs.maybe(&spelled);
                if let Presence::File(_) = inputs.presence(&spelled) {
                    found = Some(path);
                    break;
                }
            }
            waiting.push(found.ok_or(Reason::DependencyOutput)?);
        }
    }
    Ok(())
}

/// A folder as the library names it, where `$ORIGIN` is the library's own.
fn expanded(folder: &[u8], file: &[u8]) -> Vec<u8> {
    for origin in [&b"$ORIGIN"[..], b"${ORIGIN}"] {
        if let Some(at) = memchr::memmem::find(folder, origin) {
            return [&folder[..at], folder_of(file), &folder[at + origin.len()..]].concat();
        }
    }
    folder.to_vec()
}
