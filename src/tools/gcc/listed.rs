//! What compiler and assembler say they read, in the dependency files of a run.

use super::compile::{Compile, option_language};
use crate::inputs::depfile;
use crate::inputs::resolve::{PathRef, Presence};
use crate::protocol::message::RunReport;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::environment::Environment;
use crate::tools::find::{absolute, base, without_ending};
use crate::tools::meaning::Ground;
use crate::tools::needs::is_gone;
use crate::tools::plan::{Discovery, Told};
use crate::tools::query;

/// What a compiler and its assembler say they read.
#[derive(Default)]
pub(super) struct Listed {
    /// By both. None: neither was asked, or the text tells it all.
    pub(super) read: Option<Vec<Arg>>,
    /// By the assembler alone.
    pub(super) assembled: Vec<Arg>,
    /// What the assembler lists and is not there: it also lists what a `.file` line names.
    pub(super) named: Vec<PathRef>,
}

impl Compile {
    /// What compiler and assembler say they read.
    pub(super) fn listed(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<Listed, Reason> {
        let source = &self.command.sources[discovery.unit].path;
        let rules = |file: usize| {
            let text = run.dependencies.get(file).filter(|text| !text.is_empty());
            text.and_then(|text| depfile::rules(text)).ok_or(Reason::DependencyOutput)
        };
        if matches!(discovery.compiler, Told::ByText) {
            return Ok(Listed::default());
        }
        let (mut assembled, mut named) = (Vec::new(), Vec::new());
        if let Some(file) = discovery.assembler {
            let cwd = &ground.tool.cwd;
            for name in rules(file)?.into_iter().flat_map(|rule| rule.prerequisites) {
                if is_temporary_text(&name, source, ground.env) && is_gone(&absolute(cwd, &name)) {
                    continue;
                }
                let path = ground.world.intern(&name);
                match ground.world.presence(path) {
                    // The source by the bare name that a `.file` line gives it.
                    Presence::Absent if base(&name) == base(source) => {}
                    Presence::Absent => named.push(path),
                    _ => assembled.push(name),
                }
            }
        }
        let is_silent =
            |file: usize| run.dependencies.get(file).is_some_and(|text| text.is_empty());
        let mut listed: Vec<Arg> = match discovery.compiler {
            // gcc writes no list where nothing is to be in it: then all is found by text.
            Told::File(file) | Told::Rule { file, of: 1, .. }
                if is_silent(file) && assembled.iter().all(|path| path == source) =>
            {
                return Ok(Listed { named, ..Listed::default() });
            }
            Told::ByText => Vec::new(),
            Told::Apart | Told::Rules(_) => return Err(Reason::DependencyOutput),
            Told::SourceOnly => vec![source.clone()],
            Told::File(file) => {
                rules(file)?.into_iter().flat_map(|rule| rule.prerequisites).collect()
            }
            Told::Rule { file, nth, of } => {
                // One rule for each source in turn; this kind leaves the source itself out, and a source without anything
                // else has none: which lacks its own is not told.
                let rules = rules(file).ok().filter(|rules| rules.len() == of);
                let rule = rules.and_then(|rules| rules.into_iter().nth(nth));
                let rule = rule.ok_or(Reason::DependencyOutput)?;
                rule.prerequisites.into_iter().chain([source.clone()]).collect()
            }
        };
        listed.extend_from_slice(&assembled);
        Ok(Listed { read: Some(listed), assembled, named })
    }

    /// Runs the preprocessor alone for the whole list. What changes meanwhile is noticed as
    /// any change since the compile began is.
    pub(super) fn ask_for_list(&self, ground: &Ground<'_>, unit: usize) -> Option<Vec<Arg>> {
        let mut args = Vec::new();
        let mut keys = self.command.key_args.iter();
        while let Some(arg) = keys.next() {
            match &arg[..] {
                b"-MT" | b"-MQ" => drop(keys.next()),
                b"-S" => {}
                arg if arg.starts_with(b"-M") || arg.starts_with(b"-Wp,-M") => {}
                _ => args.push(arg.clone()),
            }
        }
        let source = &self.command.sources[unit];
        args.extend([b"-x".to_vec(), option_language(source.language)?.as_bytes().to_vec()]);
        args.extend([b"-M".to_vec(), source.path.clone()]);
        let tool = ground.tool;
        let said = query::ask_as_called(&tool.program, &args, ground.env, &tool.cwd)?;
        let rules = depfile::rules(&said.stdout).filter(|_| said.success)?;
        Some(rules.into_iter().flat_map(|rule| rule.prerequisites).collect())
    }

    /// Where the assembler would have found a file it read, had it been there: every folder
    /// it searches, and the cwd.
    pub(super) fn assembler_candidates(&self, assembled: &[Arg]) -> Vec<Arg> {
        let mut folders: Vec<Arg> = vec![Vec::new()];
        let named = self.command.search.angle.iter().chain(&self.command.assembler_folders);
        folders.extend(named.map(|folder| [folder, &b"/"[..]].concat()));
        let mut candidates = Vec::new();
        for path in assembled.iter().filter(|path| path.first() != Some(&b'/')) {
            for prefix in &folders {
                let Some(name) = path.strip_prefix(&prefix[..]) else { continue };
                let others = folders.iter().filter(|other| *other != prefix);
                candidates.extend(others.map(|other| [&other[..], name].concat()));
            }
        }
        candidates
    }
}

/// Whether this is called like the assembly text that the compiler hands to the assembler, which is removed behind it:
/// gcc's `ccXXXXXX.s`, clang's `NAME-XXXXXX.s`.
fn is_temporary_text(path: &[u8], source: &[u8], env: Environment<'_>) -> bool {
    let temporary = env.get(b"TMPDIR").unwrap_or(b"/tmp");
    let name = base(path);
    let stem = without_ending(base(source));
    let is_clangs = name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(b"-"));
    (path.starts_with(temporary) || path.starts_with(b"/tmp/"))
        && (name.starts_with(b"cc") || is_clangs)
        && name.ends_with(b".s")
}
