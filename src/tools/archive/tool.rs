//! Which program works on the archive, by content.

use std::sync::Arc;

use super::is_emscriptens;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::{Closure, add_library, add_program, field};
use crate::tools::emscripten;
use crate::tools::find::{absolute, base, find_tool, own_key};
use crate::tools::link::tool::plugins as own_plugins;
use crate::tools::program::Program;
use crate::tools::query;
use crate::tools::toolchain::{Answer, Toolchains};

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Gnu,
    Llvm,
}

/// What is known of a program.
pub(super) struct Tool {
    pub(super) answer: Arc<Answer>,
    pub(super) maker: Maker,
    /// Without being told, it writes zeros for times and owners.
    pub(super) is_deterministic: bool,
}

/// Asks the program at this path. `plugins` are those it is told to load.
pub(super) fn tool(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    program: &[u8],
    plugins: &[Arg],
) -> Result<Tool, Reason> {
    let front = match is_emscriptens(program) {
        true => Some(emscripten::archiver(caller, toolchains, program)?),
        false => None,
    };
    let program = front.as_ref().map_or(program, |front| &front.behind);
    let mut key = blake3::Hasher::new();
    if let Some(front) = &front {
        field(&mut key, &front.scripts.identity);
    }
    for part in [b"archiver", program, caller.cwd].into_iter().chain(plugins.iter().map(|p| &p[..]))
    {
        field(&mut key, part);
    }
    for name in ["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "COMPILER_PATH", "GCC_EXEC_PREFIX"] {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    let answer = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        let scripts = front.iter().flat_map(|front| &front.scripts.depends);
        scripts.for_each(|id| closure.add_seen(caller, *id));
        // What a script does beside nobody knows.
        if matches!(add_program(caller, program, closure)?, Program::Script { .. }) {
            return None;
        }
        for plugin in plugins {
            add_library(caller, &absolute(caller.cwd, plugin), program, closure)?;
        }
        own_plugins(caller, program, closure);
        let ask = |word: &str| {
            let said = query::ask(program, &[word.as_bytes().to_vec()], caller.env, caller.cwd)?;
            Some([said.stdout, said.stderr].concat())
        };
        let version = ask("--version")?;
        let has = |text: &[u8], word: &[u8]| memchr::memmem::find(text, word).is_some();
        let maker: &[u8] = if version.starts_with(b"GNU ") {
            b"gnu"
        } else if has(&version, b"LLVM version") {
            b"llvm"
        } else {
            return None;
        };
        if base(program).starts_with(b"gcc-") || has(base(program), b"-gcc-") {
            behind_gcc(caller, program, closure)?;
        }
        // `[D] - use zero for timestamps and uids/gids (default)`; ranlib says it without brackets.
        let help = ask("--help")?;
        let is_deterministic = help
            .split(|byte| *byte == b'\n')
            .any(|line| has(line, b"zero for") && has(line, b"(default)"));
        let stamps: &[u8] = if maker == b"llvm" || is_deterministic { b"zero" } else { b"real" };
        Some(vec![maker.to_vec(), stamps.to_vec()])
    });
    let answer = answer.ok_or(Reason::UnknownCompiler)?;
    let maker = if answer.words[0] == b"gnu" { Maker::Gnu } else { Maker::Llvm };
    Ok(Tool { maker, is_deterministic: answer.words[1] == b"zero", answer })
}

/// `gcc-ar` runs another program with a plugin, both of which its gcc can name.
fn behind_gcc(caller: Caller<'_>, program: &[u8], closure: &mut Closure) -> Option<()> {
    let name = base(program);
    let at = memchr::memmem::rfind(name, b"gcc-")?;
    let part = if memchr::memmem::find(name, b"ranlib").is_some() { "ranlib" } else { "ar" };
    let version = name[at + 4..].strip_prefix(part.as_bytes())?;
    let folder = &program[..program.len() - name.len()];
    let gcc = [folder, &name[..at], b"gcc", version].concat();
    add_program(caller, &gcc, closure)?;
    for question in [format!("-print-prog-name={part}"), "-print-file-name=liblto_plugin.so".into()]
    {
        let said = query::ask(&gcc, &[question.into_bytes()], caller.env, caller.cwd)?;
        let path = said.stdout.trim_ascii_end();
        let found = find_tool(path, caller.env.get(b"PATH"), caller.cwd, own_key());
        match found {
            Ok(found) => {
                for passed in &found.passed {
                    closure.file(caller, passed);
                }
                let path = absolute(caller.cwd, &found.path);
                add_program(caller, &path, closure)?;
                own_plugins(caller, &path, closure);
            }
            // A plugin need not be executable.
            Err(_) => closure.file(caller, path),
        }
    }
    Some(())
}
