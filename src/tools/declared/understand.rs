//! A declared command: its key, how it runs, and what it read by its caller's word.

use super::globs::{self, Glob, Listing};
use crate::files::PathId;
use crate::inputs::resolve::{InputSet, Presence};
use crate::protocol::message::{Declared, Run, RunReport, RunUnit, StdoutIs};
use crate::session::kind::{Kind, Language, Tool};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::caller::Caller;
use crate::tools::closure::{Closure, add_program, field};
use crate::tools::environment::streams_context;
use crate::tools::find::{absolute, base};
use crate::tools::finds::find;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::meaning::{Ground, Meaning};
use crate::tools::places::Places;
use crate::tools::plan::{Discovery, Plan, Told, run_of};
use crate::tools::program::Program;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed, Understood};
use crate::tools::worktree::Sharing;

/// Interpreters that only start another program, which their first argument names.
const STARTER: &[u8] = b"env";

#[derive(Debug)]
struct Command {
    /// As typed, behind the program's name.
    args: Vec<Arg>,
    name: Arg,
    globs: Vec<Arg>,
    listing: Listing,
    declared_outputs: Vec<Arg>,
    outputs: Vec<Output>,
    variables: Vec<Arg>,
    stdout: StdoutIs,
}

/// Understands a declared command; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    declared: &Declared,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    let listing =
        list(caller.cwd, &declared.inputs, &declared.outputs).ok_or(Reason::UncacheableArgument)?;
    let mut key = blake3::Hasher::new();
    for part in [b"program", typed.program] {
        field(&mut key, part);
    }
    for name in ["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD"] {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    let program = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        add_all(caller, typed.program, closure, 0)?;
        Some(Vec::new())
    });
    let program = program.ok_or(Reason::UnknownCompiler)?;
    depends.extend_from_slice(&program.depends);

    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"declared 1");
    parts.add(Part::Tool, &program.identity);
    parts.add(Part::Folder, caller.cwd);
    parts.add(Part::Called, typed.called);
    for word in typed.args {
        parts.add(Part::Word, word);
    }
    for glob in &declared.inputs {
        parts.add(Part::ExtraInput, glob);
    }
    // Which files and folders there are; what they contain is told by the input set.
    let mut names = blake3::Hasher::new();
    for (path, executable) in &listing.files {
        field(&mut names, path);
        names.update(&[u8::from(*executable)]);
    }
    for path in &listing.subfolders {
        field(&mut names, path);
        names.update(b"/");
    }
    let names = format!("{} files, {}", listing.files.len(), names.finalize().to_hex());
    parts.add(Part::ExtraInput, names.as_bytes());
    for path in &declared.outputs {
        parts.add(Part::OutputName, path);
    }
    for name in &declared.variables {
        parts.add(Part::Variable, name);
    }
    let outputs = declared.outputs.iter().enumerate().map(|(number, path)| Output {
        role: if number == 0 { Role::Main } else { Role::Other(number as u16) },
        path: path.clone(),
        style: WriteStyle::Packed,
        required: true,
    });
    let command = Command {
        args: typed.args.to_vec(),
        name: [&[typed.called.to_vec()], typed.args].concat().join(&b' '),
        globs: declared.inputs.clone(),
        listing,
        declared_outputs: declared.outputs.clone(),
        outputs: outputs.collect(),
        variables: declared.variables.clone(),
        stdout: typed.stdout,
    };
    Ok(Actions {
        units: vec![parts],
        kind: Kind { tool: Tool::Exec, language: Language::Other },
        meaning: Box::new(command),
        places: Places::default(),
        sharing: Sharing::Off,
        // Nobody tells of a new file that a glob means: looked for each time.
        scripted: true,
        before: Vec::new(),
        text_context: streams_context(typed.terminal, typed.stdout, caller.env),
    })
}

/// The files that are meant now. None where a folder can't be read.
fn list(cwd: &[u8], globs: &[Arg], outputs: &[Arg]) -> Option<Listing> {
    let globs: Result<Vec<Glob>, _> = globs.iter().map(|glob| Glob::parse(glob)).collect();
    globs::list(cwd, &globs.ok()?, outputs).ok()
}

/// Adds a program, the interpreter of a script, and the program that an interpreter starts in turn.
fn add_all(caller: Caller<'_>, path: &[u8], closure: &mut Closure, depth: usize) -> Option<()> {
    const DEEPEST: usize = 4;
    let Program::Script { interpreter, text } = add_program(caller, path, closure)? else {
        return Some(());
    };
    if depth == DEEPEST {
        return None;
    }
    add_all(caller, &absolute(b"/", &interpreter), closure, depth + 1)?;
    if base(&interpreter) == STARTER {
        let line = text[2..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let is_program = |word: &&[u8]| !word.starts_with(b"-") && !word.contains(&b'=');
        let name = words.skip(1).find(is_program)?;
        let mut looked = Vec::new();
        let (started, _) = find(caller, name, &mut looked)?;
        looked.into_iter().for_each(|id| closure.add_seen(caller, id));
        add_all(caller, &started, closure, depth + 1)?;
    }
    Some(())
}

impl Meaning for Command {
    fn name(&self, _unit: usize) -> &[u8] {
        &self.name
    }

    fn source(&self, _unit: usize) -> &[u8] {
        &self.name
    }

    fn outputs(&self, _unit: usize) -> &[Output] {
        &self.outputs
    }

    fn plan(&self, tool: &Understood, _: &[usize], _: &dyn Fn(&str) -> Vec<u8>) -> Plan {
        let mut run = Run {
            units: vec![RunUnit { unit: 0, outputs: self.outputs.clone() }],
            stdout: self.stdout,
            ..run_of(tool)
        };
        run.argv.extend(self.args.iter().cloned());
        let discovery = Discovery::by(Told::SourceOnly, 0);
        Plan { run, discoveries: vec![discovery] }
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        for path in self.listing.files.keys() {
            let path = ground.world.intern(path);
            ground.world.presence(path);
        }
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        _: &Discovery,
        _: &RunReport,
    ) -> Result<InputSet, Reason> {
        let now = list(&ground.tool.cwd, &self.globs, &self.declared_outputs);
        if now.as_ref() != Some(&self.listing) {
            return Err(Reason::ChangedDuringCompile);
        }
        let mut inputs = InputSet { env: self.variables.clone(), ..InputSet::default() };
        inputs.env.sort_unstable();
        inputs.env.dedup();
        for path in self.listing.files.keys() {
            let path = ground.world.intern(path);
            match ground.world.presence(path) {
                Presence::Absent => inputs.absent.push(path),
                _ => inputs.read.push(path),
            }
        }
        for paths in [&mut inputs.read, &mut inputs.absent] {
            paths.sort_unstable();
        }
        Ok(inputs)
    }
}
