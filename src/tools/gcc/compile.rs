//! A gcc or clang compile, to the daemon: how it runs, and what it read afterwards.

use std::sync::Arc;

use super::driver_text;
use super::layout::lay_out;
use super::listed::Listed;
use super::plan::{is_preprocessed_here, plan};
use super::sanitizers;
use crate::files::ContentHash;
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::resolve::{self, InputSet, PathRef, Presence, Question, Read, World};
use crate::inputs::scan::Scan;
use crate::inputs::search::SearchPath;
use crate::protocol::message::{Chunk, RunReport};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};
use crate::tools::command::{Command, Mode, UserDeps};
use crate::tools::environment::Environment;
use crate::tools::meaning::{Ground, Meaning, Text};
use crate::tools::places::{Places, Syntax};
use crate::tools::plan::{Discovery, Plan, Told};
use crate::tools::query;
use crate::tools::toolchain::Toolchain;
use crate::tools::understood::Understood;

#[derive(Debug)]
pub(in crate::tools) struct Compile {
    pub(in crate::tools) command: Command,
    /// One for each source.
    pub(in crate::tools) toolchains: Vec<Arc<Toolchain>>,
    /// Arguments of ours that make the result fit other checkouts.
    pub(super) added: Vec<Arg>,
    pub(super) places: Places,
    /// The driver is a script that may be told to call its compiler through us.
    pub(super) is_front: bool,
}

impl Meaning for Compile {
    fn name(&self, unit: usize) -> &[u8] {
        &self.command.sources[unit].path
    }

    fn source(&self, unit: usize) -> &[u8] {
        self.name(unit)
    }

    fn outputs(&self, unit: usize) -> &[Output] {
        &self.command.outputs[unit]
    }

    fn plan(
        &self,
        tool: &Understood,
        units: &[usize],
        temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        plan(self, tool, units, temporary)
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, unit: usize) {
        let search = self.search_path(unit, ground.env);
        let question = self.question(unit, &search, Read::Nothing, true);
        let resolver = (ground.resolver)(&search);
        let named = self.named_by_options(ground, unit);
        let mut world = Placed { world: ground.world, places: &self.places };
        resolve::look_ahead(&mut world, &mut resolver.lock(), &question);
        for path in named {
            let path = world.intern(&path);
            world.presence(path);
        }
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let ground = &mut Ground {
            tool: ground.tool,
            world: &mut Placed { world: ground.world, places: &self.places },
            resolver: ground.resolver,
            stored: ground.stored,
            env: ground.env,
        };
        let unit = discovery.unit;
        if self.toolchains[unit].searches_includers || self.command.asks_for_microsoft_rules() {
            return Err(Reason::UncacheableArgument);
        }
        let language = self.command.sources[unit].language;
        let Listed { read: listed, assembled, named } = self.listed(ground, discovery, run)?;
        let user_headers_only =
            self.command.user_deps == UserDeps::UserHeaders && is_preprocessed_here(language);
        let read = match &listed {
            None => Read::Nothing,
            Some(listed) if user_headers_only => Read::UserHeaders(listed),
            Some(listed) => Read::Complete(listed),
        };
        let search = self.search_path(unit, ground.env);
        let question = self.question(unit, &search, read, discovery.assembler.is_some());
        let assembler_folders = &self.command.assembler_folders;
        let question = Question { assembler_folders, ..question };
        let resolver = (ground.resolver)(&search);
        let first = resolve::resolve(ground.world, &mut resolver.lock(), &question);
        let mut inputs = match first {
            // What the text does not tell, the compiler does, at the price of another look.
            Err(Reason::ComputedInclude) if !matches!(read, Read::Complete(_)) => {
                let told = self.ask_for_list(ground, unit).ok_or(Reason::ComputedInclude)?;
                let question = Question { read: Read::Complete(&told), ..question };
                resolve::resolve(ground.world, &mut resolver.lock(), &question)?
            }
            result => result?,
        };
        for candidate in self.assembler_candidates(&assembled) {
            let path = ground.world.intern(&candidate);
            match ground.world.presence(path) {
                Presence::Absent => inputs.absent.push(path),
                Presence::Folder(_) => inputs.exists.push(path),
                Presence::File(_) => {}
            }
        }
        inputs.absent.extend(&named);
        inputs.doubtful = named;
        // Then the compiler says which search folders are not there.
        if self.command.key_args.iter().any(|arg| arg.ends_with(b"missing-include-dirs")) {
            for folder in search.folders() {
                let path = ground.world.intern(folder);
                match ground.world.presence(path) {
                    Presence::Absent => inputs.absent.push(path),
                    _ => inputs.exists.push(path),
                }
            }
        }
        let lists = self.sanitizer_lists(ground, unit).ok_or(Reason::DependencyOutput)?;
        for path in self.named_by_options(ground, unit).iter().chain(&lists) {
            let path = ground.world.intern(path);
            match ground.world.presence(path) {
                Presence::Absent => inputs.absent.push(path),
                Presence::Folder(_) => inputs.exists.push(path),
                Presence::File(_) => inputs.read.push(path),
            }
        }
        inputs.sort();
        if self.has_fixed_date(unit, ground.env) {
            (inputs.time, inputs.date) = (false, false);
        }
        Ok(inputs)
    }

    fn is_said_once(&self, tool: &Understood, text: &[Chunk]) -> bool {
        driver_text::is_of_driver(&[&tool.argv0, &tool.program], text)
    }

    fn fold(&self, _unit: usize, text: Text<'_>) -> Option<Vec<u8>> {
        if self.places.roots().is_empty() {
            return None;
        }
        match text {
            Text::Output(Role::Dependencies, text) => {
                let folded = self.places.fold(text, Syntax::Make)?;
                let is_known = lay_out(text, self.command.flavor) == text;
                let mark: &[u8] = if is_known { LAID_OUT } else { b"" };
                Some([mark, &folded].concat())
            }
            Text::Output(Role::DatabaseEntry, text) => self.places.fold(text, Syntax::Json),
            Text::Output(..) => None,
            Text::Message(text) => self.places.fold(text, syntax_of(text)),
        }
    }

    fn unfold(&self, _unit: usize, text: Text<'_>) -> Vec<u8> {
        match text {
            _ if self.places.roots().is_empty() => text.bytes().to_vec(),
            Text::Output(Role::DatabaseEntry, text) => self.places.unfold(text, Syntax::Json),
            Text::Output(_, text) => match text.strip_prefix(LAID_OUT) {
                Some(text) => {
                    let text = self.places.unfold(text, Syntax::Make);
                    lay_out(&text, self.command.flavor)
                }
                None => self.places.unfold(text, Syntax::Make),
            },
            Text::Message(text) => self.places.unfold(text, syntax_of(text)),
        }
    }
}

/// Begins a stored dependency file whose lines `lay_out` breaks as its compiler did.
const LAID_OUT: &[u8] = b"\x02=";

/// How messages write paths: `-fdiagnostics-format=json` makes one JSON array.
fn syntax_of(messages: &[u8]) -> Syntax {
    if messages.starts_with(b"[{") { Syntax::Json } else { Syntax::Plain }
}

impl Compile {
    /// The inputs of each source of a command that links what it compiled. `compiler` tells those of all,
    /// or of the only one.
    pub(in crate::tools) fn inputs_of_all(
        &self,
        ground: &mut Ground<'_>,
        compiler: Told,
        run: &RunReport,
    ) -> Result<Vec<InputSet>, Reason> {
        let sources = self.command.sources.iter();
        let of = sources.filter(|source| is_preprocessed_here(source.language)).count();
        let mut nth = 0;
        let mut sets = Vec::new();
        for (unit, source) in self.command.sources.iter().enumerate() {
            let is_told = is_preprocessed_here(source.language);
            let compiler = match compiler {
                _ if !is_told => Told::SourceOnly,
                Told::Rules(file) => Told::Rule { file, nth, of },
                told => told,
            };
            nth += usize::from(is_told);
            sets.push(self.inputs(ground, &Discovery::by(compiler, unit), run)?);
        }
        Ok(sets)
    }

    fn question<'a>(
        &'a self,
        unit: usize,
        search: &'a SearchPath,
        read: Read<'a>,
        assembler_listed: bool,
    ) -> Question<'a> {
        Question { assembler_listed, ..question(&self.command, unit, search, read) }
    }

    /// The files that options name, or that gcc will look for because of them.
    fn named_by_options(&self, ground: &Ground<'_>, unit: usize) -> Vec<Arg> {
        let mut named = self.command.option_inputs.clone();
        if let Some(profile) = &self.command.profile {
            let cwd = &ground.tool.cwd[..];
            let logical = ground.env.get(b"PWD").filter(|pwd| *pwd != cwd);
            let working_folders: Vec<&[u8]> = [cwd].into_iter().chain(logical).collect();
            let object = &self.command.outputs[unit][0].path;
            named.extend(profile.candidates(object, &working_folders));
        }
        named
    }

    /// The lists that a sanitizer of clang's takes where they are. None: clang does not say where that is.
    fn sanitizer_lists(&self, ground: &Ground<'_>, unit: usize) -> Option<Vec<Arg>> {
        if let Some(lists) = sanitizers::lists(&self.command, &self.toolchains[unit].system_folders)
        {
            return Some(lists);
        }
        let tool = ground.tool;
        let args = [&self.command.query_args[..], &[b"-print-resource-dir".to_vec()]].concat();
        let said = query::ask_as_called(&tool.program, &args, ground.env, &tool.cwd)?;
        let folder = said.stdout.trim_ascii();
        (said.success && !folder.is_empty()).then(|| sanitizers::below(folder))
    }

    fn search_path(&self, unit: usize, env: Environment<'_>) -> SearchPath {
        let own = &self.toolchains[unit].system_folders;
        search_path(&self.command, self.command.sources[unit].language, own, env)
    }

    /// `SOURCE_DATE_EPOCH` is in the action key; these compilers take date and time from it.
    fn has_fixed_date(&self, unit: usize, env: Environment<'_>) -> bool {
        let honoured_from = match self.command.flavor {
            Flavor::Gcc => 7,
            Flavor::Clang => 16,
        };
        self.toolchains[unit].major >= honoured_from && env.is_set(b"SOURCE_DATE_EPOCH")
    }
}

/// What is asked about one source of a command, whose assembler says nothing.
pub(in crate::tools) fn question<'a>(
    command: &'a Command,
    unit: usize,
    search: &'a SearchPath,
    read: Read<'a>,
) -> Question<'a> {
    let source = &command.sources[unit];
    // gcc takes no precompiled header while it writes one (measured: it does not look for any), which is good, for the
    // one that it writes is in the place of the one that it would look for.
    let writes_one_itself = command.flavor == Flavor::Gcc && command.mode == Mode::Precompile;
    Question {
        source: &source.path,
        language: source.language,
        flavor: command.flavor,
        search,
        forced: &command.search.forced,
        defines: &command.defines,
        read,
        precompiled: is_preprocessed_here(source.language) && !writes_one_itself,
        records_times: records_times(command),
        checks_times: command.flavor == Flavor::Clang && has_times(command),
        assembler_folders: &[],
        assembler_listed: false,
        without_own: false,
        canonical: command.flavor == Flavor::Gcc
            && !command.key_args.iter().any(|arg| arg == b"-fno-canonical-system-headers"),
    }
}

/// clang writes the mtimes of all headers into what it precompiles, unless told not to.
fn records_times(command: &Command) -> bool {
    command.flavor == Flavor::Clang && command.mode == Mode::Precompile && has_times(command)
}

/// Whether its precompiled headers hold mtimes: who leaves them out does so for all commands.
fn has_times(command: &Command) -> bool {
    !command.key_args.iter().any(|arg| arg == b"-fno-pch-timestamp")
}

/// Where a command looks for headers; `own` are the compiler's folders.
pub(in crate::tools) fn search_path(
    command: &Command,
    language: Language,
    own: &[Vec<u8>],
    env: Environment<'_>,
) -> SearchPath {
    let list = |name: &[u8]| -> Vec<Vec<u8>> {
        let value = env.get(name);
        value.map_or(Vec::new(), |value| {
            value.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect()
        })
    };
    let own_variable: &[u8] = match language {
        Language::Cxx | Language::CxxHeader | Language::PreprocessedCxx => b"CPLUS_INCLUDE_PATH",
        Language::ObjC => b"OBJC_INCLUDE_PATH",
        Language::ObjCxx => b"OBJCPLUS_INCLUDE_PATH",
        _ => b"C_INCLUDE_PATH",
    };
    SearchPath::new(&command.search, &list(b"CPATH"), &list(own_variable), own)
}

/// What `-x` calls a language whose includes are followed.
pub(in crate::tools) fn option_language(language: Language) -> Option<&'static str> {
    Some(match language {
        Language::C => "c",
        Language::Cxx => "c++",
        Language::ObjC => "objective-c",
        Language::ObjCxx => "objective-c++",
        Language::AssemblerWithCpp => "assembler-with-cpp",
        Language::CHeader => "c-header",
        Language::CxxHeader => "c++-header",
        _ => return None,
    })
}

/// A view in which paths are spelled by the places they lie in.
struct Placed<'a> {
    world: &'a mut dyn World,
    places: &'a Places,
}

impl World for Placed<'_> {
    fn version(&self) -> u64 {
        self.world.version()
    }

    fn intern(&mut self, spelled: &[u8]) -> PathRef {
        self.world.intern(&self.places.spell(spelled))
    }

    fn spelled(&self, path: PathRef) -> Arc<[u8]> {
        let spelled = self.world.spelled(path);
        match spelled.first() {
            Some(b'/') | None => spelled,
            Some(_) => self.places.unspell(&spelled).into(),
        }
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
