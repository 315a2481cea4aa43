//! What an emcc is made of: its scripts, the interpreters that run them, its configuration, and for links
//! the programs and JavaScript behind it. All by content.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::files::Seen;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::{Closure, add_program, field};
use crate::tools::environment::{EMSCRIPTEN_VARIABLES, TOOLCHAIN_VARIABLES};
use crate::tools::find::{absolute, base};
use crate::tools::finds::find;
use crate::tools::program;
use crate::tools::query;
use crate::tools::toolchain::{Answer, Toolchains};

/// An Emscripten on this machine.
pub(super) struct Install {
    /// The folder of `emcc.py`.
    pub(super) root: Vec<u8>,
    /// What its scripts are, and what its configuration says.
    pub(super) scripts: Arc<Answer>,
    /// Its configuration looks at variables that requests are not remembered by.
    pub(super) is_scripted: bool,
}

/// What the configuration is asked for: the words of `Install::scripts`, in this order.
const ASKED: [&str; 7] = [
    "CACHE",
    "LLVM_ROOT",
    "BINARYEN_ROOT",
    "NODE_JS",
    "COMPILER_WRAPPER",
    "LLVM_ADD_VERSION",
    "CLANG_ADD_VERSION",
];

/// Folders of the toolchain that no command reads, or that are accounted for elsewhere: the cache's files
/// are inputs, and node's packages matter to links.
const PASSED_OVER: &[&[u8]] = &[
    b"cache",
    b"tests",
    b"test",
    b"docs",
    b"site",
    b"media",
    b"cmake",
    b"system",
    b"node_modules",
    b"__pycache__",
    b".git",
];
const DEEPEST: usize = 12;

impl Install {
    /// The one that this program starts.
    pub(super) fn of(
        caller: Caller<'_>,
        toolchains: &Toolchains,
        program: &[u8],
    ) -> Result<Install, Reason> {
        let root = root_of(program).ok_or(Reason::UnknownCompiler)?;
        let candidates = configurations(caller, &root);
        let variables = variables_of(caller, &candidates);
        let mut key = key_of(caller, b"emscripten", &root);
        for path in &candidates {
            field(&mut key, path);
        }
        for name in &variables {
            field(&mut key, name);
            field(&mut key, caller.env.get(name).unwrap_or(b"\0unset"));
        }
        let scripts = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
            add_tree(caller, &root, closure, 0)?;
            for path in &candidates {
                closure.add_seen(caller, caller.table.intern(path));
            }
            let python = python(caller, closure)?;
            let words = ask(caller, &root, &python, closure)?;
            let word = |name| word_of(&words, name);
            for name in ["clang", "clang++"] {
                let name = versioned(name, word("CLANG_ADD_VERSION"));
                add_perhaps(caller, &[word("LLVM_ROOT"), b"/", &name].concat(), closure)?;
            }
            Some(words)
        });
        let scripts = scripts.ok_or(Reason::UnknownCompiler)?;
        let wrapper = word(&scripts, "COMPILER_WRAPPER");
        // Ours does nothing in a run of ours; what any other does nobody knows.
        if !wrapper.is_empty() && !base(wrapper).starts_with(b"zccache") {
            return Err(Reason::Environment);
        }
        let known: Vec<&[u8]> = EMSCRIPTEN_VARIABLES
            .iter()
            .chain(TOOLCHAIN_VARIABLES)
            .map(|name| name.as_bytes())
            .collect();
        let is_scripted = variables.iter().any(|name| !known.contains(&&name[..]));
        Ok(Install { root, scripts, is_scripted })
    }

    /// The folder for what is built and installed on demand.
    pub(super) fn cache(&self) -> &[u8] {
        word(&self.scripts, "CACHE")
    }

    /// All that its answers depend on.
    pub(super) fn front(&self, caller: Caller<'_>) -> [u8; 32] {
        let mut key = key_of(caller, b"emscripten front", &self.root);
        key.update(&self.scripts.identity);
        *key.finalize().as_bytes()
    }

    /// Where a program of LLVM's is.
    pub(super) fn llvm(&self, name: &str) -> Vec<u8> {
        let word = |name| word(&self.scripts, name);
        [word("LLVM_ROOT"), b"/", &versioned(name, word("LLVM_ADD_VERSION"))].concat()
    }

    /// All that takes part in a link beside the scripts.
    pub(super) fn programs(
        &self,
        caller: Caller<'_>,
        toolchains: &Toolchains,
    ) -> Result<Arc<Answer>, Reason> {
        let mut key = key_of(caller, b"emscripten link", &self.root);
        key.update(&self.scripts.identity);
        let answer = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
            let word = |name| word(&self.scripts, name);
            for name in LLVM {
                add_perhaps(caller, &self.llvm(name), closure)?;
            }
            for name in BINARYEN {
                let path = [word("BINARYEN_ROOT"), b"/bin/", name.as_bytes()].concat();
                add_perhaps(caller, &path, closure)?;
            }
            let node = locate(caller, word("NODE_JS"), closure)?;
            add_program(caller, &node, closure)?;
            packages(caller, &self.root, &node, closure)?;
            Some(Vec::new())
        });
        answer.ok_or(Reason::Link)
    }
}

const LLVM: &[&str] = &[
    "wasm-ld",
    "lld",
    "llc",
    "llvm-nm",
    "llvm-ar",
    "llvm-ranlib",
    "llvm-link",
    "llvm-mc",
    "llvm-objcopy",
    "llvm-strip",
    "llvm-dwarfdump",
    "opt",
];

const BINARYEN: &[&str] = &[
    "wasm-as",
    "wasm-ctor-eval",
    "wasm-dis",
    "wasm-emscripten-finalize",
    "wasm-merge",
    "wasm-metadce",
    "wasm-opt",
    "wasm-split",
    "wasm2js",
];

fn word<'a>(answer: &'a Answer, name: &str) -> &'a [u8] {
    word_of(&answer.words, name)
}

fn word_of<'a>(words: &'a [Arg], name: &str) -> &'a [u8] {
    let at = ASKED.iter().position(|asked| *asked == name);
    at.and_then(|at| words.get(at)).map_or(b"", |word| word)
}

/// The name of a program of LLVM's, which some systems give a version.
fn versioned(name: &str, version: &[u8]) -> Vec<u8> {
    match version {
        b"" => name.as_bytes().to_vec(),
        version => [name.as_bytes(), b"-", version].concat(),
    }
}

fn key_of(caller: Caller<'_>, what: &[u8], root: &[u8]) -> blake3::Hasher {
    let mut key = blake3::Hasher::new();
    field(&mut key, what);
    field(&mut key, root);
    for name in TOOLCHAIN_VARIABLES.iter().chain(EMSCRIPTEN_VARIABLES) {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    key
}

/// The folder of `emcc.py`: that of the program, symlinks followed. None: another script stands before it.
fn root_of(program: &[u8]) -> Option<Vec<u8>> {
    let file = std::fs::canonicalize(OsStr::from_bytes(program)).ok()?;
    let root = file.parent()?;
    root.join("emcc.py").is_file().then(|| root.as_os_str().as_bytes().to_vec())
}

/// The files that may be its configuration, in the order in which they are looked for.
fn configurations(caller: Caller<'_>, root: &[u8]) -> Vec<Arg> {
    let home = caller.env.get(b"HOME").unwrap_or(b"/");
    let expanded = |path: &[u8]| match path.strip_prefix(b"~/") {
        Some(rest) => [home, b"/", rest].concat(),
        None => absolute(caller.cwd, path),
    };
    if let Some(path) = caller.env.get(b"EM_CONFIG") {
        return vec![expanded(path)];
    }
    let mut above = Path::new(OsStr::from_bytes(root));
    for _ in 0..2 {
        above = above.parent().unwrap_or(above);
    }
    let beside = |folder: &[u8]| [folder, b"/.emscripten"].concat();
    vec![beside(root), beside(above.as_os_str().as_bytes()), beside(home)]
}

/// The variables that the configuration, a Python text, may look at.
fn variables_of(caller: Caller<'_>, candidates: &[Arg]) -> Vec<Vec<u8>> {
    for path in candidates {
        let id = caller.table.intern(path);
        if let Seen::File { hash: Some(hash), .. } = caller.table.look(id, true) {
            let text = caller.table.text(id, &hash).unwrap_or_default();
            let looks = |word: &[u8]| memchr::memmem::find(&text, word).is_some();
            if !looks(b"environ") && !looks(b"getenv") {
                return Vec::new();
            }
            return program::variables_of_script(&text);
        }
    }
    Vec::new()
}

fn add_tree(caller: Caller<'_>, folder: &[u8], closure: &mut Closure, depth: usize) -> Option<()> {
    let entries = std::fs::read_dir(OsStr::from_bytes(folder)).ok()?;
    let mut names: Vec<Arg> =
        entries.flatten().map(|entry| entry.file_name().into_encoded_bytes()).collect();
    names.sort();
    for name in names {
        let path = [folder, b"/", &name].concat();
        // Not a symlink's: what it leads to.
        let Ok(meta) = std::fs::metadata(OsStr::from_bytes(&path)) else { continue };
        if meta.is_file() {
            closure.file(caller, &path);
        } else if meta.is_dir() && !PASSED_OVER.contains(&&name[..]) {
            if depth == DEEPEST {
                return None;
            }
            add_tree(caller, &path, closure, depth + 1)?;
        }
    }
    Some(())
}

/// The Python that runs the scripts.
fn python(caller: Caller<'_>, closure: &mut Closure) -> Option<Vec<u8>> {
    let given = caller.env.get(b"EMSDK_PYTHON").filter(|path| !path.is_empty());
    let path = locate(caller, given.unwrap_or(b"python3"), closure)?;
    add_program(caller, &path, closure)?;
    Some(path)
}

/// A program by its name on PATH, or by its path.
fn locate(caller: Caller<'_>, name: &[u8], closure: &mut Closure) -> Option<Vec<u8>> {
    let mut looked = Vec::new();
    let (path, _) = find(caller, name, &mut looked)?;
    looked.into_iter().for_each(|id| closure.add_seen(caller, id));
    Some(path)
}

/// A program that need not be there.
fn add_perhaps(caller: Caller<'_>, path: &[u8], closure: &mut Closure) -> Option<()> {
    let id = caller.table.intern(path);
    match caller.table.look(id, false) {
        Seen::Absent => closure.add_seen(caller, id),
        _ => drop(add_program(caller, path, closure)?),
    }
    Some(())
}

/// Asks the configuration in the way in which emcc reads it. The Python found may be a script that
/// starts another: it names itself.
fn ask(caller: Caller<'_>, root: &[u8], python: &[u8], closure: &mut Closure) -> Option<Vec<Arg>> {
    const PROGRAM: &str = "import sys
sys.path.insert(0, sys.argv[1])
from tools import config
def text(value):
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return '' if value is None else str(value)
for name in sys.argv[2:]:
    print('zcc ' + text(getattr(config, name, None)))
print('zcc ' + (sys.executable or ''))
";
    let mut args = vec![b"-c".to_vec(), PROGRAM.as_bytes().to_vec(), root.to_vec()];
    args.extend(ASKED.map(|name| name.as_bytes().to_vec()));
    let said = query::ask(python, &args, caller.env, caller.cwd).filter(|said| said.success)?;
    let lines = said.stdout.split(|byte| *byte == b'\n');
    let mut words: Vec<Arg> =
        lines.filter_map(|line| line.strip_prefix(b"zcc ")).map(<[u8]>::to_vec).collect();
    let itself = words.pop().filter(|_| words.len() == ASKED.len())?;
    if itself != python {
        add_program(caller, &itself, closure)?;
    }
    Some(words)
}

/// The JavaScript that the tools load from elsewhere.
fn packages(caller: Caller<'_>, root: &[u8], node: &[u8], closure: &mut Closure) -> Option<()> {
    // Says of what kind the scripts below it are.
    let mut above = Some(Path::new(OsStr::from_bytes(root)));
    while let Some(folder) = above {
        for name in ["package.json", "node_modules/acorn/package.json"] {
            closure.file(caller, folder.join(name).as_os_str().as_bytes());
        }
        above = folder.parent();
    }
    const PROGRAM: &str =
        "try { console.log(require.resolve('acorn', {paths: [process.argv[1]]})) } catch (_) {}";
    let tools = [root, b"/tools"].concat();
    let args = [b"-e".to_vec(), PROGRAM.as_bytes().to_vec(), tools];
    let said = query::ask(node, &args, caller.env, b"/").filter(|said| said.success)?;
    let acorn = said.stdout.trim_ascii_end();
    if !acorn.is_empty() {
        closure.file(caller, acorn);
    }
    let own = [root, b"/node_modules"].concat();
    if Path::new(OsStr::from_bytes(&own)).is_dir() {
        add_tree(caller, &own, closure, 0)?;
    }
    Some(())
}
