//! The identity of the whole tool: the driver, the programs it really runs, the libraries
//! they load, the settings they read, all by content; and what its own answers say of
//! search folders and defaults. Found once, remembered while nothing of it changes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::caller::Caller;
use super::closure::{Closure, add_program, field};
use super::command::{Command, Mode};
use super::driver::Driver;
use super::environment::{Environment, TOOLCHAIN_VARIABLES};
use super::find::{absolute, base};
use super::finds::Finds;
use super::program::{self, Program};
use super::query;
use super::searched::find_program;
use super::searched::{self, on_path};
use super::surroundings;
use crate::files::{ContentHash, Counter, PathId, Seen};
use crate::inputs::dialect::{Flavor, Language};
use crate::session::reason::Reason;

/// What is known of a driver under one set of flags and one language.
#[derive(Debug)]
pub struct Toolchain {
    /// Hash of everything that makes this tool this tool.
    pub identity: [u8; 32],
    pub flavor: Flavor,
    pub major: u32,
    /// The compiler's own include folders, in order, those that are missing included.
    pub system_folders: Vec<Vec<u8>>,
    /// The assembler is GNU's: it writes dependency output (`--MD`).
    pub assembler_lists: bool,
    /// As Microsoft's compiler, clang looks beside all files that include the includer as well: for Windows it does
    /// that unasked.
    pub searches_includers: bool,
    /// The driver is a script that looks at variables of its own.
    pub scripted: bool,
    /// Everything the above depends on.
    pub depends: Vec<PathId>,
}

/// A remembered answer: good while its files hash to the same digest.
struct Kept<T> {
    value: T,
    closure: Closure,
    digest: [u8; 32],
    verified: Counter,
}

/// Held while the answer is being found, so that others wait for it instead of asking too.
type Slot<T> = Arc<Mutex<Option<Kept<Arc<T>>>>>;

/// All toolchains met so far.
#[derive(Default)]
pub struct Toolchains {
    drivers: Mutex<HashMap<[u8; 32], Slot<Driver>>>,
    toolchains: Mutex<HashMap<[u8; 32], Slot<Toolchain>>>,
    /// For each driver's path and content: the inode it was last seen as, and how often that
    /// changed.
    inodes: Mutex<HashMap<(PathId, ContentHash), (u64, u32)>>,
    answers: Mutex<HashMap<[u8; 32], Slot<Answer>>>,
    pub(super) finds: Finds,
}

/// Something found out by asking, and what that depends on.
#[derive(Debug)]
pub(super) struct Answer {
    /// Hash of the words and of all files behind them.
    pub(super) identity: [u8; 32],
    pub(super) words: Vec<Vec<u8>>,
    /// Everything the above depends on.
    pub(super) depends: Vec<PathId>,
}

impl Toolchains {
    /// Who answers at this path. `path` is absolute.
    pub fn driver(&self, caller: Caller<'_>, path: &[u8]) -> Result<Arc<Driver>, Reason> {
        self.driver_behind(caller, path, None)
    }

    /// The same of a front, whose answers depend on more than its own file: on what this stands for.
    pub(super) fn driver_behind(
        &self,
        caller: Caller<'_>,
        path: &[u8],
        front: Option<[u8; 32]>,
    ) -> Result<Arc<Driver>, Reason> {
        let mut key = blake3::Hasher::new();
        field(&mut key, path);
        field(&mut key, front.as_ref().map_or(b"", |front| front));
        toolchain_variables(&mut key, caller.env);
        let slot = self.drivers.lock().entry(*key.finalize().as_bytes()).or_default().clone();
        let mut kept = slot.lock();
        if let Some(driver) = still_good(&mut kept, caller)
            && self.replacements(caller, path) == Some(driver.replaced)
            && driver
                .script_variables
                .iter()
                .all(|(name, value)| caller.env.get(name) == value.as_deref())
        {
            return Ok(driver);
        }
        let verified = caller.table.counter();
        let mut driver = find_driver(caller, path).ok_or(Reason::UnknownCompiler)?;
        driver.replaced = self.replacements(caller, path).ok_or(Reason::UnknownCompiler)?;
        driver.front = front;
        let driver = Arc::new(driver);
        let closure = driver.closure.clone();
        let digest = closure.digest(caller).ok_or(Reason::UnknownCompiler)?;
        *kept = Some(Kept { value: driver.clone(), closure, digest, verified });
        Ok(driver)
    }

    /// A driver that was replaced by a file of equal content may be a front for things we can't
    /// see and that were replaced along with it: from then on it counts as another tool.
    fn replacements(&self, caller: Caller<'_>, path: &[u8]) -> Option<u32> {
        let (id, seen) = caller.content(path);
        let Seen::File { hash: Some(hash), .. } = seen else { return None };
        let now = seen.identity()?;
        let mut inodes = self.inodes.lock();
        let (inode, count) = inodes.entry((id, hash)).or_insert((now, 0));
        if *inode != now {
            *inode = now;
            *count += 1;
        }
        Some(*count)
    }

    /// Finds something out once, and again when a file it depends on changed. The key names
    /// the question and the variables it depends on.
    pub(super) fn answer(
        &self,
        caller: Caller<'_>,
        key: [u8; 32],
        find: &dyn Fn(&mut Closure) -> Option<Vec<Vec<u8>>>,
    ) -> Option<Arc<Answer>> {
        let slot = self.answers.lock().entry(key).or_default().clone();
        let mut kept = slot.lock();
        if let Some(answer) = still_good(&mut kept, caller) {
            return Some(answer);
        }
        let verified = caller.table.counter();
        let mut closure = Closure::default();
        let words = find(&mut closure)?;
        let digest = closure.digest(caller)?;
        let mut identity = blake3::Hasher::new();
        identity.update(&digest);
        for word in &words {
            field(&mut identity, word);
        }
        let identity = *identity.finalize().as_bytes();
        let answer = Arc::new(Answer { identity, words, depends: closure.all() });
        *kept = Some(Kept { value: answer.clone(), closure, digest, verified });
        Some(answer)
    }

    /// The whole tool under these flags.
    pub fn toolchain(
        &self,
        caller: Caller<'_>,
        driver: &Driver,
        called: &[u8],
        command: &Command,
        language: Language,
    ) -> Result<Arc<Toolchain>, Reason> {
        // Relative folders in the flags, and in the variables, mean other programs from another cwd.
        let relative = command.query_args.iter().any(|arg| mentions_relative_path(arg))
            || names_relative_folder(&command.query_args)
            || FOLDER_VARIABLES.iter().any(|name| has_relative_folder(caller.env, name));
        let cwd = if relative { caller.cwd } else { b"/" };
        let mut key = blake3::Hasher::new();
        field(&mut key, &driver.path);
        driver.add_variant(&mut key);
        field(&mut key, called);
        field(&mut key, cwd);
        field(&mut key, query_language(language).as_bytes());
        key.update(&[command.mode as u8, u8::from(command.separate_assembler)]);
        for arg in &command.query_args {
            field(&mut key, arg);
        }
        toolchain_variables(&mut key, caller.env);
        let slot = self.toolchains.lock().entry(*key.finalize().as_bytes()).or_default().clone();
        // Held while asking: others that need the same answer wait for it instead of asking too.
        let mut kept = slot.lock();
        if let Some(toolchain) = still_good(&mut kept, caller) {
            return Ok(toolchain);
        }
        let verified = caller.table.counter();
        let (toolchain, closure, digest) =
            find_toolchain(Caller { cwd, ..caller }, driver, called, command, language)
                .ok_or(Reason::UnknownCompiler)?;
        let toolchain = Arc::new(toolchain);
        *kept = Some(Kept { value: toolchain.clone(), closure, digest, verified });
        Ok(toolchain)
    }
}

fn still_good<T: Clone>(kept: &mut Option<Kept<T>>, caller: Caller<'_>) -> Option<T> {
    let found = kept.as_mut()?;
    let all = found.closure.content.iter().chain(&found.closure.absent).copied();
    if caller.table.unchanged(all, found.verified) {
        return Some(found.value.clone());
    }
    let now = caller.table.counter();
    if found.closure.digest(caller) == Some(found.digest) {
        found.verified = now;
        return Some(found.value.clone());
    }
    None
}

fn find_driver(caller: Caller<'_>, path: &[u8]) -> Option<Driver> {
    let mut closure = Closure::default();
    let mut script_variables = Vec::new();
    let program = add_program(caller, path, &mut closure)?;
    let is_script = matches!(program, Program::Script { .. });
    if let Program::Script { text, .. } = program {
        script_variables = program::variables_of_script(&text)
            .into_iter()
            .map(|name| {
                let value = caller.env.get(&name).map(<[u8]>::to_vec);
                (name, value)
            })
            .collect();
    }
    let said = query::ask(path, &[b"-v".to_vec()], caller.env, b"/")?;
    let (flavor, version_line) = query::flavor(&said)?;
    let major = query::major_version(&version_line);
    let versions = vec![query::version(&version_line), major.to_string().into_bytes()];
    let target = query::target(&said);
    Some(Driver {
        path: path.to_vec(),
        flavor,
        major,
        is_script,
        script_variables,
        version_line,
        target,
        versions,
        replaced: 0,
        front: None,
        closure,
    })
}

fn find_toolchain(
    caller: Caller<'_>,
    driver: &Driver,
    called: &[u8],
    command: &Command,
    language: Language,
) -> Option<(Toolchain, Closure, [u8; 32])> {
    let language_args = [b"-x".to_vec(), query_language(language).as_bytes().to_vec()];
    let mut preprocess = command.query_args.clone();
    preprocess.extend(language_args.clone());
    preprocess.extend(["-E", "-v", "/dev/null"].map(|arg| arg.as_bytes().to_vec()));
    let said = query::ask(&driver.path, &preprocess, caller.env, caller.cwd)
        .filter(|said| said.success)?;
    let verbose = query::verbose(&said.stderr)?;

    let mut plan = command.query_args.clone();
    plan.extend(language_args);
    let mode: &[u8] = if command.mode == Mode::Assembly { b"-S" } else { b"-c" };
    plan.extend([mode, b"-###", b"/dev/null"].map(<[u8]>::to_vec));
    if driver.is_script {
        // emcc looks whether the object is there afterwards, unless none is to be.
        plan.extend([b"-o".to_vec(), b"-".to_vec()]);
    }
    let said =
        query::ask(&driver.path, &plan, caller.env, caller.cwd).filter(|said| said.success)?;
    let commands = query::planned_commands(&said.stderr);
    if commands.is_empty() {
        return None;
    }

    let mut closure = driver.closure.clone();
    let mut identity = blake3::Hasher::new();
    field(&mut identity, b"toolchain 1");
    field(&mut identity, called);
    field(&mut identity, &driver.version_line);
    driver.add_variant(&mut identity);
    let mut assembler_lists = false;
    let target = query::target(&said);
    let mut places = match driver.flavor {
        Flavor::Gcc => {
            let searched = searched::ask(caller, &driver.path, &command.query_args)?;
            searched::add_files(caller, driver, &searched, &[b"specs"], &mut closure);
            searched::add_header_folders(caller, &command.query_args, &searched, &mut closure);
            searched.programs
        }
        Flavor::Clang => {
            let (args, path) = (&command.query_args, &driver.path);
            let words = &said.stderr;
            surroundings::add_configurations(caller, path, &target, words, &mut closure)?;
            surroundings::add_installations(caller, args, &target, words, &mut closure);
            given_places(caller, driver, command)
        }
    };
    places.extend(verbose.program_folders.iter().cloned());
    places.extend(on_path(caller));
    for words in &commands {
        let program = find_program(caller, &words[0], &target, &places, &mut closure)?;
        add_program(caller, &program, &mut closure)?;
        let name = base(&words[0]);
        if name == b"as" || name.ends_with(b"-as") {
            let said = query::ask(&program, &[b"--version".to_vec()], caller.env, caller.cwd)?;
            assembler_lists |= said.stdout.starts_with(b"GNU assembler");
        }
        for word in words {
            if !is_passing_name(word, caller.cwd) {
                field(&mut identity, word);
            }
        }
    }
    for path in &verbose.settings {
        closure.content.push(caller.content(&absolute(caller.cwd, path)).0);
    }
    let digest = closure.digest(caller)?;
    identity.update(&digest);
    let system_folders: Vec<Vec<u8>> =
        [&verbose.missing_folders[..], &verbose.folders[..]].concat();
    for folder in &system_folders {
        field(&mut identity, folder);
    }
    let toolchain = Toolchain {
        identity: *identity.finalize().as_bytes(),
        flavor: driver.flavor,
        major: driver.major,
        system_folders,
        assembler_lists,
        searches_includers: commands.iter().flatten().any(|word| word == b"-fms-compatibility"),
        scripted: driver.is_scripted(),
        depends: closure.all(),
    };
    Some((toolchain, closure, digest))
}

/// Where clang looks for its programs before its own folders and PATH, with folders of the target that gcc
/// would have there.
fn given_places(caller: Caller<'_>, driver: &Driver, command: &Command) -> Vec<Vec<u8>> {
    let mut given = searched::given(&command.query_args);
    for name in [&b"COMPILER_PATH"[..], b"GCC_EXEC_PREFIX"] {
        let list = caller.env.get(name).unwrap_or_default();
        let folders = list.split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
        given.extend(folders.map(<[u8]>::to_vec));
    }
    let mut places = Vec::new();
    for folder in given {
        let target = [&folder[..], b"/", &driver.target, b"/"].concat();
        let versions = driver.versions.iter().map(|version| [&target[..], version, b"/"].concat());
        places.extend(versions);
        places.extend([target, folder]);
    }
    places
}

/// Words of a planned command that differ from run to run and say nothing of the tool:
/// temporary files, and the cwd.
fn is_passing_name(word: &[u8], cwd: &[u8]) -> bool {
    let temporary =
        [&b".s"[..], b".o", b".i", b".ii", b".res"].iter().any(|end| word.ends_with(end));
    temporary || (cwd != b"/" && word.ends_with(cwd))
}

fn mentions_relative_path(arg: &[u8]) -> bool {
    let value = arg.rsplit(|byte| *byte == b'=').next().unwrap_or(arg);
    let glued = value.strip_prefix(b"-B").or(value.strip_prefix(b"-I")).unwrap_or(value);
    (!glued.starts_with(b"-")
        && !glued.starts_with(b"/")
        && (glued.contains(&b'/') || glued.contains(&b'.')))
        || arg.starts_with(b"-B") && !arg.starts_with(b"-B/")
}

/// The same of flags whose value is always a folder, however plain its name.
fn names_relative_folder(args: &[Vec<u8>]) -> bool {
    const FLAGS: &[&str] =
        &["--sysroot", "-isysroot", "--gcc-toolchain", "-gcc-toolchain", "-resource-dir"];
    let is_relative = |value: &[u8]| !value.starts_with(b"/");
    args.iter().enumerate().any(|(at, arg)| {
        FLAGS.iter().filter_map(|flag| arg.strip_prefix(flag.as_bytes())).any(|rest| match rest {
            [] => args.get(at + 1).is_some_and(|value| is_relative(value)),
            [b'=', value @ ..] => is_relative(value),
            _ => false,
        })
    })
}

/// Variables that list folders in which a driver searches.
const FOLDER_VARIABLES: &[&str] = &["PATH", "COMPILER_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX"];

/// An empty one is the cwd.
fn has_relative_folder(env: Environment<'_>, name: &str) -> bool {
    let folders = env.get(name.as_bytes()).filter(|list| !list.is_empty());
    folders.is_some_and(|list| list.split(|byte| *byte == b':').any(|one| !one.starts_with(b"/")))
}

fn query_language(language: Language) -> &'static str {
    match language {
        Language::C | Language::PreprocessedC | Language::CHeader | Language::Ir => "c",
        Language::Cxx | Language::PreprocessedCxx | Language::CxxHeader => "c++",
        Language::ObjC => "objective-c",
        Language::ObjCxx => "objective-c++",
        Language::Assembler | Language::AssemblerWithCpp => "assembler-with-cpp",
    }
}

fn toolchain_variables(key: &mut blake3::Hasher, env: Environment<'_>) {
    for name in TOOLCHAIN_VARIABLES {
        field(key, env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
}
