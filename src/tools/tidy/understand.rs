//! A clang-tidy or include-what-you-use command: what it looks at, and its key.

use super::database::Database;
use super::inspection::{Inspection, View};
use super::line::{self, Sources, Translation};
use super::{Which, iwyu, mapping, options, refused, settings, tool, which};
use crate::files::{PathId, Seen};
use crate::session::kind::{Kind, Tool};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::caller::Caller;
use crate::tools::environment::{REFUSED_VARIABLES, RESULT_VARIABLES, streams_context};
use crate::tools::find::absolute;
use crate::tools::gcc::understand::counted_as;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Lists in the environment that name folders.
const SEARCH_VARIABLES: [&str; 5] =
    ["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH"];

/// What a command of either tool comes to.
struct Asked {
    translations: Vec<Translation>,
    plugins: Vec<Arg>,
    /// Files that are read, or looked for, beside sources and headers; absolute.
    files: Vec<Arg>,
    outputs: Vec<Output>,
    answers: Vec<i32>,
}

/// Understands a command of this family; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    let which = which(typed.called).ok_or(Reason::UnknownCompiler)?;
    if REFUSED_VARIABLES.iter().any(|name| caller.env.get(name.as_bytes()).is_some()) {
        return Err(Reason::Environment.into());
    }
    for name in SEARCH_VARIABLES {
        let list = caller.env.get(name.as_bytes()).unwrap_or(b"/");
        if !list.split(|byte| *byte == b':').all(|folder| folder.starts_with(b"/")) {
            return Err(refused(Reason::Environment, name.as_bytes()));
        }
    }
    let asked = match which {
        Which::ClangTidy => clang_tidy(caller, typed, depends)?,
        Which::Iwyu => include_what_you_use(caller, typed, depends)?,
    };

    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"tidy 1");
    parts.add(Part::Called, typed.called);
    parts.add(Part::Folder, caller.cwd);
    // Where fixes go is in no text; run-clang-tidy has them go to a new name each time.
    let fixes = asked.outputs.first().map(|output| &output.path[..]);
    for word in typed.args {
        let without = fixes.and_then(|path| word.strip_suffix(path));
        parts.add(Part::Word, without.filter(|rest| names_fixes(rest)).unwrap_or(word));
    }
    let mut views = Vec::new();
    for translation in asked.translations {
        let Translation { folder, command, words } = translation;
        parts.add(Part::Folder, &folder);
        parts.add(Part::Source, &command.sources[0].path);
        for word in &words {
            parts.add(Part::Flag, word);
        }
        let own = Caller { cwd: &folder, ..caller };
        let (program, plugins) = (typed.program, &asked.plugins[..]);
        let known = tool::ask(own, toolchains, which, program, plugins, &command)?;
        parts.add(Part::Tool, &known.identity);
        depends.extend_from_slice(&known.depends);
        views.push(View { folder, command, system_folders: known.words.clone() });
    }
    for name in RESULT_VARIABLES.iter().chain(&["PWD", "LD_LIBRARY_PATH", "LD_PRELOAD"]) {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    let language = counted_as(views[0].command.sources[0].language);
    let tool = match which {
        Which::ClangTidy => Tool::ClangTidy,
        Which::Iwyu => Tool::Iwyu,
    };
    let inspection = Inspection {
        which,
        args: typed.args.to_vec(),
        views,
        files: asked.files,
        outputs: asked.outputs,
        answers: asked.answers,
        stdout: typed.stdout,
    };
    Ok(Actions {
        units: vec![parts],
        kind: Kind { tool, language },
        meaning: Box::new(inspection),
        places: Places::default(),
        // What is said names files in full.
        sharing: Sharing::Off,
        scripted: false,
        before: Vec::new(),
        text_context: streams_context(typed.terminal, typed.stdout, caller.env),
    })
}

/// Whether this is `--export-fixes=` in one of its spellings, or nothing at all.
fn names_fixes(rest: &[u8]) -> bool {
    matches!(rest, b"" | b"-export-fixes=" | b"--export-fixes=")
}

fn clang_tidy(
    caller: Caller<'_>,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Asked, Refusal> {
    let options = options::parse(typed.args)?;
    let sources: Vec<Arg> =
        options.sources.iter().map(|source| absolute(caller.cwd, source)).collect();
    let mut translations = Vec::new();
    let mut read = |folder: &[u8], flags: &[Arg], cxx, source: &[u8], depends: &mut _| {
        let flags = [&options.before[..], flags, &options.after].concat();
        let translation =
            line::read(caller, folder, &flags, cxx, &Sources::Given(source), depends)?;
        translations.push(translation);
        Ok::<(), Refusal>(())
    };
    match &options.flags {
        Some(flags) => {
            // A word in front that is no flag is the compiler's name.
            let named = flags.first().is_some_and(|word| !word.starts_with(b"-"));
            for source in &sources {
                read(caller.cwd, &flags[usize::from(named)..], false, source, depends)?;
            }
        }
        None => {
            let start = match &options.build {
                Some(build) => absolute(caller.cwd, build),
                None => {
                    let slash = sources[0].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    sources[0][..slash].to_vec()
                }
            };
            let database = Database::find(caller, &start, depends)?;
            for source in &sources {
                for entry in database.compiles_of(source, caller.cwd)? {
                    read(&entry.folder, &entry.flags, entry.cxx, source, depends)?;
                }
            }
        }
    }
    let mut files: Vec<Arg> = Vec::new();
    files.extend(options.config_file.iter().map(|path| absolute(caller.cwd, path)));
    let own = settings::candidates(sources.iter().map(Vec::as_slice));
    for path in own.iter().chain(&files) {
        let id = caller.table.intern(path);
        depends.push(id);
        if let Seen::File { hash: Some(hash), .. } = caller.table.look(id, true)
            && caller.table.text(id, &hash).is_none_or(|text| options::adds_arguments(&text))
        {
            return Err(refused(Reason::UncacheableArgument, path));
        }
    }
    // Written only when there is something to fix.
    let fixes = options.fixes.map(|path| Output {
        role: Role::Main,
        path,
        style: WriteStyle::InPlace,
        required: false,
    });
    Ok(Asked {
        translations,
        plugins: options.plugins,
        files,
        outputs: fixes.into_iter().collect(),
        answers: vec![0, 1],
    })
}

fn include_what_you_use(
    caller: Caller<'_>,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Asked, Refusal> {
    let options = iwyu::parse(typed.args)?;
    let cxx = typed.called.windows(2).any(|pair| pair == b"++");
    let translation =
        line::read(caller, caller.cwd, &options.flags, cxx, &Sources::Named, depends)?;
    Ok(Asked {
        translations: vec![translation],
        plugins: Vec::new(),
        files: mapping::files(caller, &options.mappings, depends)?,
        outputs: Vec::new(),
        answers: options.answers,
    })
}
