//! Understanding links: a gcc or clang driver that links, and linkers called by their own name.
//!
//! - `options` reads a linker's options: what is read, searched and written besides.
//! - `tool` knows the linker behind a driver, or one alone, by content.
//! - `listed` says from the linker's own list what it read, and where else it would have looked:
//!   by the help of `script` (linker scripts) and `binary` (shared libraries, thin archives).
//! - `split` takes a command that also compiles apart, where that is certain to come to the same.
//! - `driver` and `bare` make the key of a command; `action` runs a miss and finds its inputs.

pub(super) mod action;
pub(super) mod bare;
pub(super) mod binary;
pub(super) mod driver;
pub(super) mod listed;
pub(super) mod options;
mod script;
mod split;
pub(super) mod tool;

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;
use crate::tools::find::plain_name;
use crate::tools::query;

/// Whether a program of this name is a linker: `ld`, `x86_64-linux-gnu-ld.gold`, `wasm-ld-14`.
pub fn is_linker(called: &[u8]) -> bool {
    matches!(plain_name(called), b"ld" | b"ld.bfd" | b"ld.gold" | b"ld.lld" | b"ld.mold" | b"mold")
}

/// The files that a linker's `argv`, given without its name, makes, or why it runs plain and the
/// argument to blame.
pub fn outputs_of(argv: &[Arg]) -> Result<Vec<Output>, (Reason, Option<Arg>)> {
    let said = options::read(argv)?;
    action::outputs(&said, None).ok_or((Reason::UnusualOutput, None))
}

/// The files and folders that a linker script names.
pub fn named_by_script(text: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let named = script::named(text);
    (named.files, named.folders)
}

/// Whether a driver that compiles and links says (`-###`) the same of the whole as of its parts: of the
/// compiles, and of a link that was given `stand_ins` in place of the objects. `folder` is where it puts
/// temporary files.
pub fn is_sum(
    whole: &[u8],
    compiles: &[u8],
    last: &[u8],
    stand_ins: &[Arg],
    folder: &[u8],
) -> bool {
    let [whole, compiles, last] = [whole, compiles, last].map(query::planned_commands);
    split::are_equal(&whole, &compiles, &last, stand_ins, folder)
}
