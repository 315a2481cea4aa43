//! The keys of what emcc and em++ do.

use super::install::Install;
use super::link::{self, Libraries, Link};
use super::options::{self, Said};
use super::{outputs, packed};
use crate::files::{PathId, Seen};
use crate::inputs::dialect::Flavor;
use crate::session::kind::{self, Kind, Tool};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;
use crate::tools::caller::Caller;
use crate::tools::command::{ArgPart, Command, LinkLine, Mode, Parsed};
use crate::tools::driver::Driver;
use crate::tools::environment::{
    EMSCRIPTEN_REFUSED, EMSCRIPTEN_VARIABLES, LINK_REFUSED, REFUSED_VARIABLES, RESULT_VARIABLES,
    text_context,
};
use crate::tools::find::{absolute, base};
use crate::tools::gcc::understand::Front;
use crate::tools::gcc::{self, response};
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::link::options::Said as LinkerSaid;
use crate::tools::places::Places;
use crate::tools::refusal::{Refusal, refused};
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Understands a command of emcc's; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    check_variables(caller)?;
    let args = expand(typed.args, &mut |path| gcc::response_file(caller, path, depends))?;
    let more = caller.env.get(b"EMCC_CFLAGS").map_or(Ok(Vec::new()), more_args)?;
    let all = [&args[..], &more].concat();
    // What is refused for its arguments is refused before anybody is asked.
    let (line, said) = read(typed.called.starts_with(b"em++"), &all, args.len())?;

    let install = Install::of(caller, toolchains, typed.program)?;
    let front = install.front(caller);
    let driver = toolchains.driver_behind(caller, typed.program, Some(front))?;
    depends.extend_from_slice(&install.scripts.depends);
    let mut actions = match line {
        Line::Link(line) => {
            let linked = Linked { driver: &driver, install: &install, args, all, said };
            linked.understand(caller, toolchains, typed, *line, depends)?
        }
        Line::Compile(command) => {
            let front = Front {
                tool: Tool::Emscripten,
                identity: &install.scripts.identity,
                variables: EMSCRIPTEN_VARIABLES,
            };
            let compile = gcc::understand::compile;
            compile(caller, toolchains, typed, &driver, *command, Some(&front), depends)?
        }
    };
    actions.scripted |= install.is_scripted;
    Ok(actions)
}

/// What a command is for.
enum Line {
    Compile(Box<Command>),
    Link(Box<LinkLine>),
}

/// Reads arguments in which nothing is left to expand, of which so many were typed.
fn read(cxx: bool, all: &[Arg], typed: usize) -> Result<(Line, Said), Refusal> {
    let said = options::read(all)?;
    agrees_with_clang(&said.clang)?;
    let line = match gcc::parse(Flavor::Clang, cxx, &said.clang, &mut |_| None) {
        Parsed::Compile(command) => {
            Line::Compile(Box::new(as_typed(*command, &all[..typed], &said)?))
        }
        Parsed::Link(line) => Line::Link(line),
        Parsed::Plain(reason, argument) => return Err((reason, argument).into()),
    };
    Ok((line, said))
}

/// The files that a command makes, by its arguments alone. `more`: the text of `EMCC_CFLAGS`.
pub(super) fn outputs_of(
    cxx: bool,
    args: &[Arg],
    more: &[u8],
    reads: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Output>, Refusal> {
    let args = expand(args, reads)?;
    let all = [&args[..], &more_args(more)?].concat();
    let (line, said) = read(cxx, &all, args.len())?;
    match line {
        Line::Compile(command) => Ok(command.outputs.concat()),
        Line::Link(line) => {
            let linker = link::read(&line.words, &said, b"")?;
            Ok(outputs::of(&target(&linker, &said)).ok_or(Reason::UnusualOutput)?)
        }
    }
}

/// What a link makes.
fn target(linker: &LinkerSaid, said: &Said) -> Arg {
    linker.output.clone().unwrap_or_else(|| {
        let side = said.own.iter().any(|arg| arg.starts_with(b"-sSIDE_MODULE"));
        if side { b"a.out.wasm".to_vec() } else { b"a.out.js".to_vec() }
    })
}

/// Whether no variable asks for what can't be cached.
pub(super) fn check_variables(caller: Caller<'_>) -> Result<(), Reason> {
    let asks = |name: &&str| {
        caller.env.get(name.as_bytes()).is_some_and(|value| !value.is_empty() && value != b"0")
    };
    let is_there = |names| caller.env.has_any(names);
    let asks_for_files = is_there(REFUSED_VARIABLES) || is_there(LINK_REFUSED);
    match asks_for_files || EMSCRIPTEN_REFUSED.iter().any(asks) {
        true => Err(Reason::Environment),
        false => Ok(()),
    }
}

/// Replaces `@FILE`. emcc reads such files by Python's rules, which are gcc's for texts without
/// backslashes, and does not look for further ones in them.
fn expand(
    args: &[Arg],
    reads: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Arg>, Refusal> {
    let refused = |arg| Refusal { reason: Reason::ResponseFile, argument: Some(arg) };
    if let Some(arg) = args.iter().find(|arg| arg.starts_with(b"-Wl,@")) {
        return Err(refused(arg.clone()));
    }
    let mut alike = |path: &[u8]| reads(path).filter(|text| is_read_alike(text));
    response::expand(args, &mut alike).map_err(refused)
}

fn is_read_alike(text: &[u8]) -> bool {
    let names_another = text
        .split(u8::is_ascii_whitespace)
        .any(|word| word.starts_with(b"@") || word.starts_with(b"\"@") || word.starts_with(b"'@"));
    text.is_ascii() && !text.contains(&b'\\') && !names_another
}

/// What `EMCC_CFLAGS` adds behind the arguments.
fn more_args(text: &[u8]) -> Result<Vec<Arg>, Refusal> {
    let words = Some(text).filter(|text| is_read_alike(text)).and_then(response::tokens);
    words.ok_or(Reason::Environment.into())
}

/// emcc takes each argument without a dash for a file, but behind some options. Where clang would read
/// it otherwise, the call runs plain; so it does where `-x` stands for some sources only, since emcc
/// moves all sources to the end.
fn agrees_with_clang(args: &[Arg]) -> Result<(), Refusal> {
    const ONLY_CLANGS: &[&str] = &[
        "-cxx-isystem",
        "--sysroot",
        "-target",
        "--target",
        "--param",
        "-B",
        "-Xassembler",
        "-T",
        "-u",
        "-e",
        "-z",
        "-G",
        "-resource-dir",
        "-gcc-toolchain",
        "--gcc-toolchain",
        "-meabi",
        "-mthread-model",
        "--serialize-diagnostics",
        "-serialize-diagnostics",
        "--include",
        "--imacros",
        "--include-directory",
        "--include-directory-after",
        "--define-macro",
        "--undefine-macro",
    ];
    const TAKING: &[&str] = &[
        "-MT",
        "-MF",
        "-MJ",
        "-MQ",
        "-D",
        "-U",
        "-o",
        "-x",
        "-Xpreprocessor",
        "-include",
        "-imacros",
        "-idirafter",
        "-isysroot",
        "-isystem",
        "-iquote",
        "-I",
        "-L",
        "-l",
        "-include-pch",
        "-Xlinker",
        "-Xclang",
        "-mllvm",
    ];
    let is_one_of =
        |names: &[&str], arg: &Arg| names.iter().any(|name| name.as_bytes() == &arg[..]);
    let mut languages = 0;
    let mut files = 0;
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let takes_file = args.get(at + 1).is_some_and(|next| !next.starts_with(b"-"));
        languages += usize::from(arg.starts_with(b"-x"));
        // The entry it writes is clang's, with flags that emcc chose.
        if arg.starts_with(b"-MJ")
            || is_one_of(ONLY_CLANGS, arg) && takes_file
            || arg.starts_with(b"-x") && (languages > 1 || files > 0)
        {
            let argument = Some(arg.clone());
            return Err(Refusal { reason: Reason::UncacheableArgument, argument });
        }
        files += usize::from(!arg.starts_with(b"-"));
        at += 1 + usize::from(is_one_of(TAKING, arg));
    }
    let by_name = |arg: &&Arg| !arg.starts_with(b"-") && languages == 0 && is_source_elsewhere(arg);
    match args.iter().find(by_name) {
        Some(arg) => Err(refused(Reason::UnknownLanguage, arg)),
        None => Ok(()),
    }
}

/// emcc and clang differ on whether this is a source: emcc passes over version numbers (`a.c.1`), and does
/// not know all endings.
fn is_source_elsewhere(path: &[u8]) -> bool {
    let mut stem = path;
    let mut versioned = false;
    while let Some(dot) = base(stem).iter().rposition(|byte| *byte == b'.') {
        let dot = stem.len() - base(stem).len() + dot;
        let ending = &stem[dot + 1..];
        if !ending.is_empty() && ending.iter().all(u8::is_ascii_digit) {
            versioned = true;
            stem = &stem[..dot];
            continue;
        }
        return match ending {
            b"c" | b"i" | b"cpp" | b"cxx" | b"cc" | b"c++" | b"CPP" | b"CXX" | b"C" | b"CC"
            | b"C++" | b"ii" | b"m" | b"mm" | b"ll" | b"S" | b"s" => versioned,
            b"cp" | b"M" | b"mi" | b"mii" => true,
            _ => false,
        };
    }
    false
}

/// A compile as it is to be run: by the arguments as typed.
fn as_typed(mut command: Command, args: &[Arg], said: &Said) -> Result<Command, Refusal> {
    // clang decides its name by rules of its own.
    if command.mode == Mode::Precompile {
        return Err(Reason::UnusualOutput.into());
    }
    for source in &mut command.sources {
        source.position = said.positions[source.position];
        // Named by EMCC_CFLAGS: it can't be left out of a run.
        if source.position >= args.len() {
            return Err(Reason::Environment.into());
        }
    }
    let mut parts = vec![ArgPart::Both; args.len()];
    for (at, part) in said.positions.iter().zip(&command.parts) {
        if let Some(typed) = parts.get_mut(*at) {
            *typed = *part;
        }
    }
    command.args = args.to_vec();
    command.parts = parts;
    command.key_args.extend(said.own.iter().cloned());
    command.query_args.extend(said.asking.iter().cloned());
    // emcc looks whether they are there, even where they have no use.
    command.option_inputs.extend(said.named_files().cloned());
    Ok(command)
}

/// A command that links.
struct Linked<'a> {
    driver: &'a Driver,
    install: &'a Install,
    args: Vec<Arg>,
    /// With those of `EMCC_CFLAGS`.
    all: Vec<Arg>,
    said: Said,
}

impl Linked<'_> {
    /// emcc removes what it makes on the way, and with it what is there under that name: such a run is
    /// left to it. Gives the names that must be free.
    fn finds_leftovers(&self, caller: Caller<'_>, target: &[u8]) -> Result<Vec<PathId>, Refusal> {
        if !self.said.removes_wasm {
            return Ok(Vec::new());
        }
        let stem = outputs::stem(target);
        let names =
            [[stem, b".wasm"].concat(), [target, b".mem"].concat(), [stem, b".mem"].concat()];
        let mut free = Vec::new();
        for path in names.into_iter().filter(|path| path != target) {
            let id = caller.table.intern(&absolute(caller.cwd, &path));
            free.push(id);
            if caller.table.look(id, false) != Seen::Absent {
                return Err(Refusal { reason: Reason::UnusualOutput, argument: Some(path) });
            }
        }
        Ok(free)
    }

    fn understand(
        self,
        caller: Caller<'_>,
        toolchains: &Toolchains,
        typed: &Typed<'_>,
        line: LinkLine,
        depends: &mut Vec<PathId>,
    ) -> Result<Actions, Refusal> {
        let uncacheable =
            |argument| Refusal { reason: Reason::UncacheableArgument, argument: Some(argument) };
        if let Some(arg) = &self.said.unlinkable {
            return Err(uncacheable(arg.clone()));
        }
        // emcc takes this name for a question of configure's, and makes other files then.
        if let Some(arg) = self.args.iter().find(|arg| &arg[..] == b"conftest.c") {
            return Err(uncacheable(arg.clone()));
        }
        let linker = link::read(&line.words, &self.said, &self.install.root)?;
        let programs = self.install.programs(caller, toolchains)?;
        depends.extend_from_slice(&programs.depends);
        let compiles = match line.compiles {
            None => None,
            Some(mut command) => {
                // Beside an object of a passing name: it is lost.
                let goes_nowhere = !command.outputs[0].is_empty()
                    && !self.args.iter().any(|arg| arg.starts_with(b"-MF"));
                if command.records_command || goes_nowhere {
                    return Err(Reason::UncacheableArgument.into());
                }
                command.query_args.extend(self.said.asking.iter().cloned());
                let called = typed.called;
                let compiles = gcc::understand::compiles;
                Some(compiles(caller, toolchains, self.driver, called, command, depends)?)
            }
        };
        let packed = packed::list(caller.cwd, &self.said.packed).ok_or_else(|| {
            self.said.packed.first().cloned().map_or(Reason::Link.into(), uncacheable)
        })?;

        let mut parts = KeyParts::default();
        parts.add(Part::Rules, b"emscripten link 1");
        parts.add(Part::Called, typed.called);
        parts.add(Part::Tool, &self.install.scripts.identity);
        parts.add(Part::Tool, &programs.identity);
        parts.add(Part::Tool, &self.driver.mark());
        for toolchain in compiles.iter().flat_map(|compile| &compile.toolchains) {
            parts.add(Part::Tool, &toolchain.identity);
        }
        for arg in &self.args {
            parts.add(Part::Flag, arg);
        }
        for name in RESULT_VARIABLES.iter().chain(EMSCRIPTEN_VARIABLES) {
            parts.add_variable(name, caller.env.get(name.as_bytes()));
        }
        parts.add(Part::Folder, caller.cwd);
        parts.add(Part::Folder, caller.env.get(b"PWD").unwrap_or_default());
        // Which files there are; what they contain is told by the input set.
        for path in &packed {
            parts.add(Part::ExtraInput, path);
        }
        let target = target(&linker, &self.said);
        let outputs = outputs::of(&target).ok_or(Reason::UnusualOutput)?;
        let is_made = |path: &&Arg| outputs.iter().any(|output| output.path == **path);
        let compiled = compiles.iter().flat_map(|compile| &compile.command.sources);
        let read = linker.files.iter().chain(&packed).chain(self.said.named_files());
        let overwritten = read.chain(compiled.map(|source| &source.path)).find(is_made).cloned();
        if overwritten.is_some() {
            return Err(Refusal { reason: Reason::UnusualOutput, argument: overwritten });
        }
        let passing = self.finds_leftovers(caller, &target)?;
        depends.extend_from_slice(&passing);
        let scripted = self.driver.is_scripted() || !packed.is_empty();
        let libraries = Libraries::of(self.install.cache(), &self.said, &self.all);
        let meaning = Link {
            args: self.args,
            linker,
            libraries,
            said: self.said,
            packed,
            compiles,
            option_inputs: line.option_inputs,
            outputs,
            passing,
            cwd: caller.cwd.to_vec(),
        };
        Ok(Actions {
            units: vec![parts],
            kind: Kind { tool: Tool::Emscripten, language: kind::Language::Link },
            meaning: Box::new(meaning),
            places: Places::default(),
            sharing: Sharing::never(caller),
            before: Vec::new(),
            scripted,
            text_context: text_context(typed.terminal, line.colour_is_automatic, caller.env),
        })
    }
}
