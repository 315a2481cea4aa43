//! A look at sources, to the daemon: how it runs, and what it read afterwards.
//!
//! Neither tool writes a dependency file: clang-tidy drops the flags that ask for one, and
//! include-what-you-use ends before one is written. Both list the headers they enter when clang's
//! inner compiler is asked to (`-header-include-file`), each as it enters it; nothing else that they
//! say changes.

use super::{Which, settings};
use crate::files::ContentHash;
use crate::inputs::resolve::{self, InputSet, PathRef, Presence, Question, Read, Resolver, World};
use crate::inputs::scan::Scan;
use crate::inputs::search::SearchPath;
use crate::protocol::message::{Chunk, Run, RunReport, RunUnit, StdoutIs, Stream};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;
use crate::tools::command::Command;
use crate::tools::environment::Environment;
use crate::tools::find::absolute;
use crate::tools::gcc::compile::{question, search_path};
use crate::tools::meaning::{Ground, Meaning};
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::understood::Understood;
use std::sync::Arc;

/// Variables that checks look at (`google-readability-todo` names the user).
const CHECK_VARIABLES: [&[u8]; 2] = [b"USER", b"USERNAME"];

#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) which: Which,
    /// As typed, behind the tool's name.
    pub(super) args: Vec<Arg>,
    pub(super) views: Vec<View>,
    /// Files that are read, or looked for, beside sources and headers; absolute.
    pub(super) files: Vec<Arg>,
    pub(super) outputs: Vec<Output>,
    /// Exit statuses that may say what was found.
    pub(super) answers: Vec<i32>,
    pub(super) stdout: StdoutIs,
}

/// One source under one set of flags.
#[derive(Debug)]
pub(super) struct View {
    /// Where it would be compiled, absolute.
    pub(super) folder: Arg,
    pub(super) command: Command,
    pub(super) system_folders: Vec<Vec<u8>>,
}

impl Meaning for Inspection {
    fn name(&self, _unit: usize) -> &[u8] {
        self.source(0)
    }

    fn source(&self, _unit: usize) -> &[u8] {
        &self.views[0].command.sources[0].path
    }

    fn outputs(&self, _unit: usize) -> &[Output] {
        &self.outputs
    }

    fn plan(
        &self,
        tool: &Understood,
        _units: &[usize],
        temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        let list = temporary("headers");
        let inner = [&b"-header-include-file"[..], &list, b"-sys-header-deps"];
        let inner = inner.iter().flat_map(|word| [&b"-Xclang"[..], word]);
        let mut run = Run {
            units: vec![RunUnit { unit: 0, outputs: self.outputs.clone() }],
            answers: self.answers.clone(),
            stdout: self.stdout,
            ..run_of(tool)
        };
        match self.which {
            Which::ClangTidy => run.argv.extend(inner.map(|word| [b"--extra-arg=", word].concat())),
            Which::Iwyu => run.argv.extend(inner.map(<[u8]>::to_vec)),
        }
        run.argv.extend(self.args.iter().cloned());
        let list = bring_back(&mut run, list, true);
        let discovery = Discovery::by(Told::File(list), 0);
        Plan { run, discoveries: vec![discovery] }
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        for view in &self.views {
            let search = view.search_path(ground.env);
            let mut world = From { world: ground.world, folder: &view.folder };
            let question = view.question(&search, Read::Nothing);
            resolve::look_ahead(&mut world, &mut Resolver::default(), &question);
        }
        for path in &self.files {
            let path = ground.world.intern(path);
            ground.world.presence(path);
        }
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let Told::File(list) = discovery.compiler else { return Err(Reason::DependencyOutput) };
        let list = run.dependencies.get(list).ok_or(Reason::DependencyOutput)?;
        let listed = headers(list).ok_or(Reason::DependencyOutput)?;
        let mut all = InputSet::default();
        for view in &self.views {
            all.add(view.inputs(ground, &listed, self.views.len() == 1)?);
        }
        // `mtime` of all or of none: see `InputSet::stamped`.
        if !all.stamped.is_empty() {
            all.stamped.clone_from(&all.read);
        }
        let mut files: Vec<Arg> = self.files.clone();
        if self.which == Which::ClangTidy {
            let read: Vec<_> = all.read.iter().map(|path| ground.world.spelled(*path)).collect();
            files.extend(settings::candidates(read.iter().map(|path| &**path)));
        }
        for path in &files {
            let path = ground.world.intern(path);
            match ground.world.presence(path) {
                Presence::Absent => all.absent.push(path),
                Presence::File(_) => all.read.push(path),
                Presence::Folder(_) => all.exists.push(path),
            }
        }
        all.env = CHECK_VARIABLES.map(<[u8]>::to_vec).to_vec();
        all.sort();
        Ok(all)
    }

    /// A source that does not compile is not kept: what was looked for in vain is not known then.
    fn is_answer(&self, status: i32, text: &[Chunk]) -> bool {
        // Both streams may have come as one.
        let whole = |stream: Stream| -> Vec<u8> {
            let chunks = text.iter().filter(|chunk| chunk.stream == stream);
            chunks.flat_map(|chunk| chunk.bytes.iter().copied()).collect()
        };
        let streams = [whole(Stream::Stdout), whole(Stream::Stderr)];
        let says =
            |word: &[u8]| streams.iter().any(|text| memchr::memmem::find(text, word).is_some());
        if !self.answers.contains(&status) {
            return false;
        }
        match self.which {
            Which::ClangTidy => {
                let failed = says(b"clang-diagnostic-error")
                    || says(b"Error while processing")
                    || says(b"Found compiler error");
                !failed && (status == 0 || says(b"-warnings-as-errors]"))
            }
            Which::Iwyu => {
                let failed = says(b" error: ") || says(b"FATAL ERROR") || says(b"Assertion failed");
                let found = says(b"should add these lines") || says(b"has correct #includes");
                !failed && (status == 0 || found)
            }
        }
    }
}

impl View {
    fn search_path(&self, env: Environment<'_>) -> SearchPath {
        let language = self.command.sources[0].language;
        search_path(&self.command, language, &self.system_folders, env)
    }

    fn question<'a>(&'a self, search: &'a SearchPath, read: Read<'a>) -> Question<'a> {
        // No assembler runs.
        Question { assembler_listed: true, ..question(&self.command, 0, search, read) }
    }

    /// See `Toolchain::searches_includers`. Here nobody says which commands are planned; what names Windows, if only
    /// as a folder, is taken for a target of that kind.
    fn may_search_includers(&self) -> bool {
        let names = |arg: &Arg, name| memchr::memmem::find(arg, name).is_some();
        let is_for_windows = |arg| names(arg, b"windows") || names(arg, b"win32");
        self.command.asks_for_microsoft_rules()
            || self.command.query_args.iter().any(is_for_windows)
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        headers: &[Arg],
        alone: bool,
    ) -> Result<InputSet, Reason> {
        if self.may_search_includers() {
            return Err(Reason::UncacheableArgument);
        }
        let search = self.search_path(ground.env);
        let mut world = From { world: ground.world, folder: &self.folder };
        let source = &self.command.sources[0].path;
        let listed: Vec<Arg> =
            [source].into_iter().chain(headers).map(|path| absolute(&self.folder, path)).collect();
        // Of several sources nobody tells which one read what. And a list with nothing in it is no
        // better than none.
        let read =
            if alone && !headers.is_empty() { Read::Complete(&listed) } else { Read::Nothing };
        let question = self.question(&search, read);
        let mut set = resolve::resolve(&mut world, &mut Resolver::default(), &question)?;
        for path in &self.command.option_inputs {
            let path = world.intern(path);
            match world.presence(path) {
                Presence::Absent => set.absent.push(path),
                _ => set.read.push(path),
            }
        }
        Ok(set)
    }
}

/// Reads a list of headers: one a line, written as in a C string.
fn headers(list: &[u8]) -> Option<Vec<Arg>> {
    let mut found = Vec::new();
    for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut path = Vec::with_capacity(line.len());
        let mut bytes = line.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => match bytes.next()? {
                    byte @ (b'\\' | b'"') => path.push(byte),
                    _ => return None,
                },
                _ => path.push(byte),
            }
        }
        found.push(path);
    }
    Some(found)
}

/// The world as a compile sees it that runs in another folder.
struct From<'a> {
    world: &'a mut dyn World,
    folder: &'a [u8],
}

impl World for From<'_> {
    fn version(&self) -> u64 {
        self.world.version()
    }

    fn intern(&mut self, spelled: &[u8]) -> PathRef {
        self.world.intern(&absolute(self.folder, spelled))
    }

    fn spelled(&self, path: PathRef) -> Arc<[u8]> {
        self.world.spelled(path)
    }

    fn presence(&mut self, path: PathRef) -> Presence {
        self.world.presence(path)
    }

    fn own_path(&self, path: PathRef) -> Option<Vec<u8>> {
        self.world.own_path(path)
    }

    fn content(&mut self, path: PathRef) -> Option<(ContentHash, u64)> {
        self.world.content(path)
    }

    fn dated(&mut self, path: PathRef) -> Option<(u64, i64)> {
        self.world.dated(path)
    }

    fn scan(&mut self, path: PathRef, assembly: bool) -> Option<Arc<Scan>> {
        self.world.scan(path, assembly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_headers_are_read() {
        let found = headers(b"./a.h\n/x/with \\\"quotes\\\".h\nback\\\\slash.h\n").unwrap();
        let expected = [&b"./a.h"[..], b"/x/with \"quotes\".h", b"back\\slash.h"];
        assert_eq!(found, expected.map(<[u8]>::to_vec));
        assert_eq!(headers(b"a\\n.h\n"), None);
        assert_eq!(headers(b""), Some(Vec::new()));
    }
}
