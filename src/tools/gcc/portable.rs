//! Which commands mean the same in another checkout, and how their keys say so.

use crate::inputs::dialect::{Flavor, Language};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::command::{Command, Mode};
use crate::tools::environment::{Environment, RESULT_VARIABLES};
use crate::tools::places::Places;
use crate::tools::refusal::{Refusal, refused};

/// Makes a compiler write a folder in another way, everywhere.
const FILE_MAP: &[u8] = b"-ffile-prefix-map=";
/// The same for some of what it writes.
const MAPS: [&[u8]; 5] = [
    FILE_MAP,
    b"-fdebug-prefix-map=",
    b"-fmacro-prefix-map=",
    b"-fcoverage-prefix-map=",
    b"-fprofile-prefix-map=",
];
/// Options whose value, glued on, is a path that is only looked at.
const GLUED: [&[u8]; 5] =
    [b"-I", b"--include=", b"--imacros=", b"--include-directory=", b"--include-directory-after="];
/// Options whose value, the next argument, is such a path, or a name in a dependency file.
const SEPARATE: [&[u8]; 9] = [
    b"-MJ",
    b"-iquote",
    b"-isystem",
    b"-cxx-isystem",
    b"-idirafter",
    b"-include",
    b"-imacros",
    b"-MT",
    b"-MQ",
];

/// A command's key arguments as every checkout has them, and what is added to its run.
#[derive(Debug, PartialEq)]
pub(super) struct Portable {
    pub(super) key_args: Vec<Arg>,
    pub(super) added: Vec<Arg>,
}

/// Why the command's results belong to this checkout, or how they fit all. `places` has its root.
pub(super) fn portable(
    command: &Command,
    major: u32,
    env: Environment<'_>,
    places: &Places,
) -> Result<Portable, Refusal> {
    let knows_maps = match command.flavor {
        Flavor::Gcc => 8,
        Flavor::Clang => 10,
    };
    let is_followed = |language| {
        !matches!(language, Language::Assembler | Language::AssemblerWithCpp | Language::Ir)
    };
    if major < knows_maps || !command.sources.iter().all(|source| is_followed(source.language)) {
        return Err(Reason::UnsupportedLanguage.into());
    }
    // With names of another kind the assembler would not find what it is to list.
    if let Some(arg) = &command.quotes_sources {
        return Err(refused(Reason::PathSensitiveArg, arg));
    }
    // What is packed can't be searched for the root afterwards.
    let packs = |arg: &Arg| arg.starts_with(b"-flto") || arg.starts_with(b"-gz");
    // clang writes anything else in its database entries in a way of YAML's.
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\"\\".contains(byte);
    let is_listed_oddly = command.lists_command && !places.roots().iter().flatten().all(is_plain);
    if command.records_command
        || command.records_paths
        || is_listed_oddly
        || command.mode == Mode::Precompile
        || command.key_args.iter().any(packs)
        || RESULT_VARIABLES.iter().any(|name| {
            env.get(name.as_bytes()).is_some_and(|value| places.root_is_named_in(value))
        })
    {
        return Err(Reason::PathSensitiveArg.into());
    }
    let sensitive = |arg: &Arg| refused(Reason::PathSensitiveArg, arg);
    let marks = |arg: &Arg| arg.contains(&1) || arg.contains(&2);
    if let Some(arg) = command.args.iter().find(|arg| marks(arg)) {
        return Err(sensitive(arg));
    }
    let mut is_mapped = false;
    let mut key_args: Vec<Arg> = Vec::with_capacity(command.key_args.len());
    let mut before: &[u8] = b"";
    for arg in &command.key_args {
        let portable = match value_of(before, arg) {
            _ if !places.root_is_named_in(arg) => arg.clone(),
            Some(Value::Path(option, path)) => [option, &places.spell_root(path)].concat(),
            Some(Value::Map(option, from, to)) => {
                if places.roots().iter().any(|root| root == from) && option == FILE_MAP {
                    is_mapped = true;
                } else if command.flavor == Flavor::Clang {
                    // Which of several maps wins is not the same for every clang.
                    return Err(sensitive(arg));
                }
                [option, &places.spell_root(from), to].concat()
            }
            None => return Err(sensitive(arg)),
        };
        // Named in the middle of something, or in the new name of a map.
        if places.root_is_named_in(&portable) {
            return Err(sensitive(arg));
        }
        key_args.push(portable);
        before = arg;
    }
    let added = if is_mapped { Vec::new() } else { places.maps(FILE_MAP) };
    Ok(Portable { key_args, added })
}

enum Value<'a> {
    /// The option as far as it is glued on, and the path.
    Path(&'a [u8], &'a [u8]),
    /// The option, the old name, and `=` with the new name.
    Map(&'a [u8], &'a [u8], &'a [u8]),
}

fn value_of<'a>(before: &[u8], arg: &'a [u8]) -> Option<Value<'a>> {
    if SEPARATE.contains(&before) {
        return Some(Value::Path(b"", arg));
    }
    if let Some(option) = GLUED.iter().find(|option| arg.starts_with(option)) {
        let (option, path) = arg.split_at(option.len());
        return Some(Value::Path(option, path));
    }
    let option = MAPS.iter().find(|option| arg.starts_with(option))?;
    let (option, names) = arg.split_at(option.len());
    // gcc divides at the last `=`, clang at the first.
    let border = names.iter().position(|byte| *byte == b'=')?;
    let is_certain = !names[border + 1..].contains(&b'=');
    is_certain.then(|| Value::Map(option, &names[..border], &names[border..]))
}
