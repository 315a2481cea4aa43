//! `zccache fp`: whether a step has to run again. `zccache-fp` does the same without a daemon.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::given::Given;
use super::{USAGE, print, say, settings};
use crate::daemon::start;
use crate::fp::cache_file::CacheFile;
use crate::fp::check::{self, CacheType, Subject, Told, Verdict};
use crate::fp::selection::Selection;
use crate::fp::set::{Change, Digest, FileSet};
use crate::fp::state::{Marked, Reason};
use crate::protocol::frame;
use crate::protocol::message::{Fingerprint, Plot, Reply, Request};
use crate::settings::Settings;

/// A daemon that takes longer to say what it knows is as good as none.
const PATIENCE: Duration = Duration::from_secs(4);

/// How files are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Through {
    /// By asking the daemon, which watches them.
    Daemon,
    /// By this process alone.
    OwnEyes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Check,
    MarkSuccess,
    MarkFailure,
    Invalidate,
}

#[derive(Debug, PartialEq)]
struct Options {
    verb: Verb,
    cache_file: PathBuf,
    cache_type: CacheType,
    json: bool,
    root: PathBuf,
    selection: Selection,
}

/// Runs `zccache fp`.
pub fn run(given: &Given) -> ExitCode {
    run_through(given, Through::Daemon)
}

/// Runs `zccache-fp`.
pub fn run_alone(given: &Given) -> ExitCode {
    run_through(given, Through::OwnEyes)
}

fn run_through(given: &Given, through: Through) -> ExitCode {
    let options = match Options::of(given) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("fp: {error}; see zccache fp --help"));
            return ExitCode::from(USAGE);
        }
    };
    if options.verb == Verb::Check {
        return check(&options, through);
    }
    let done = CacheFile::new(&options.cache_file).and_then(|file| match options.verb {
        Verb::MarkFailure => check::mark_failure(&file),
        Verb::Invalidate => check::invalidate(&file).map(|()| Marked::Done),
        Verb::MarkSuccess | Verb::Check => check::mark_success(&file),
    });
    let name = options.cache_file.display();
    match &done {
        Ok(Marked::Done) => {}
        Ok(Marked::NothingChecked) => say(&format!("fp: {name}: no check is waiting for a mark")),
        Ok(Marked::OthersOnly) => {
            say(&format!("fp: {name}: only another script's check is waiting for a mark"));
        }
        Err(error) => say(&format!("fp: {name}: {error}")),
    }
    if options.json {
        let marked = matches!(done, Ok(Marked::Done));
        print(&format!("{}\n", serde_json::json!({ "marked": marked })));
    }
    match done {
        // An unmarked success costs one run more; it must not fail the step that succeeded.
        Err(_) if options.verb != Verb::MarkSuccess => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn check(options: &Options, through: Through) -> ExitCode {
    let usage = |what: String| {
        say(&format!("fp: {what}"));
        ExitCode::from(USAGE)
    };
    let matcher = match options.selection.matcher() {
        Ok(matcher) => matcher,
        Err(bad) => return usage(format!("{bad}")),
    };
    let root = match std::path::absolute(&options.root) {
        Ok(root) if root.is_dir() => root,
        _ => return usage(format!("{}: no such folder", options.root.display())),
    };
    let file = match CacheFile::new(&options.cache_file) {
        Ok(file) => file,
        Err(error) => {
            let reason = Reason::UnreadableCacheFile(error.to_string());
            return tell(options, &Verdict { reason, changes: Vec::new(), unwritten: None });
        }
    };
    let mut watcher = match through {
        Through::Daemon => match settings() {
            Ok(settings) if settings.disable => None,
            Ok(settings) => Some(Watcher::new(settings, &root, options)),
            Err(code) => return code,
        },
        Through::OwnEyes => None,
    };
    let subject = Subject {
        root: &root,
        selection: &options.selection,
        matcher: &matcher,
        cache_type: options.cache_type,
    };
    let ask = |wanted| watcher.as_mut().map_or(Told::Unknown, |watcher| watcher.ask(wanted));
    let verdict = match check::check(&file, &subject, ask) {
        Ok(verdict) => verdict,
        Err(error) => return usage(format!("{}: {error}", options.root.display())),
    };
    let code = tell(options, &verdict);
    if let Some(watcher) = watcher {
        watcher.plant(&file);
    }
    code
}

/// The daemon, as far as one check needs it.
struct Watcher {
    settings: Settings,
    plot: Plot,
    /// It does not watch these files yet.
    ignorant: Option<UnixStream>,
}

impl Watcher {
    fn new(settings: Settings, root: &std::path::Path, options: &Options) -> Watcher {
        let plot = Plot {
            root: root.as_os_str().as_bytes().to_vec(),
            selection: options.selection.clone(),
            cache_type: options.cache_type,
        };
        Watcher { settings, plot, ignorant: None }
    }

    fn ask(&mut self, wanted: Option<Digest>) -> Told {
        let question = Request::Fingerprint { plot: self.plot.clone(), wanted };
        match start::ask(&self.settings, &question, PATIENCE) {
            Ok((_, Reply::Fingerprint(Fingerprint::Same))) => Told::Same,
            Ok((_, Reply::Fingerprint(Fingerprint::Set(bytes)))) => {
                FileSet::decode(&bytes).map_or(Told::Unknown, Told::Set)
            }
            Ok((stream, Reply::Fingerprint(Fingerprint::Unknown))) => {
                self.ignorant = Some(stream);
                Told::Unknown
            }
            _ => Told::Unknown,
        }
    }

    /// Has the daemon watch the files for the next time, where it does not yet.
    fn plant(self, file: &CacheFile) {
        let Some(mut stream) = self.ignorant else { return };
        let cache_file = file.path().as_os_str().as_bytes().to_vec();
        if let Ok(message) = frame::question(&Request::Plant { plot: self.plot, cache_file }) {
            // A lost request costs the next check a look.
            let _ = io::Write::write_all(&mut stream, &message);
        }
    }
}

/// Says what to do, and why.
fn tell(options: &Options, verdict: &Verdict) -> ExitCode {
    if let Some(error) = &verdict.unwritten {
        say(&format!("fp: {}: {error}", options.cache_file.display()));
    }
    let line = format!("{}\n", verdict.reason);
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
    if options.json {
        let names = |wanted: Option<Change>| -> Vec<String> {
            let kept = verdict.changes.iter();
            let kept = kept.filter(|(_, change)| wanted.is_none_or(|wanted| *change == wanted));
            kept.map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect()
        };
        let value = serde_json::json!({
            "run": verdict.reason.runs(),
            "reason": verdict.reason.words(),
            "changed": names(None),
            "created": names(Some(Change::Created)),
            "modified": names(Some(Change::Modified)),
            "removed": names(Some(Change::Removed)),
        });
        print(&format!("{value}\n"));
    }
    ExitCode::from(u8::from(!verdict.reason.runs()))
}

impl Options {
    fn of(given: &Given) -> Result<Options, String> {
        let verb = match given.sub.map(|sub| sub.name) {
            Some("mark-success") => Verb::MarkSuccess,
            Some("mark-failure") => Verb::MarkFailure,
            Some("invalidate") => Verb::Invalidate,
            _ => Verb::Check,
        };
        let cache_type = match given.text("cache-type").as_deref() {
            Some("hash") => CacheType::Hash,
            _ => CacheType::TwoLayer,
        };
        let mut options = Options {
            verb,
            cache_file: given.value("cache-file").ok_or("--cache-file is needed")?.into(),
            cache_type,
            json: given.has("json"),
            root: PathBuf::from("."),
            selection: Selection::default(),
        };
        if verb != Verb::Check {
            return Ok(options);
        }
        if let Some(root) = given.value("root") {
            options.root = root.into();
        }
        let texts = |flag: &str| given.values(flag).map(text).collect::<Result<Vec<_>, _>>();
        let endings = texts("ext")?;
        let endings = endings.iter().flat_map(|list| list.split(','));
        let endings = endings.map(|one| one.strip_prefix('.').unwrap_or(one).to_owned());
        let extensions: BTreeSet<String> = endings.collect();
        if extensions.contains("") {
            return Err("--ext needs an ending".to_owned());
        }
        let (include, exclude) = (texts("include")?, texts("exclude")?);
        options.selection = Selection { include, exclude, extensions };
        Ok(options)
    }
}

fn text(value: &OsStr) -> Result<String, String> {
    value.to_str().map(str::to_owned).ok_or_else(|| format!("{}: not UTF-8", value.display()))
}

#[cfg(test)]
mod tests {
    use super::super::given::from_line;
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::of(&from_line(line)?)
    }

    #[test]
    fn command_lines() {
        let options = parsed(
            "fp --cache-file f --cache-type hash check --root r --include a --include b \
             --exclude c --ext .cpp,h --ext rs --json",
        )
        .unwrap();
        assert_eq!(options.verb, Verb::Check);
        assert_eq!(options.cache_type, CacheType::Hash);
        assert!(options.json);
        assert_eq!(options.selection.include, ["a", "b"]);
        assert_eq!(options.selection.exclude, ["c"]);
        assert_eq!(Vec::from_iter(&options.selection.extensions), ["cpp", "h", "rs"]);
        assert_eq!(parsed("fp mark-success --cache-file f").unwrap().verb, Verb::MarkSuccess);
    }

    #[test]
    fn nonsense() {
        for line in [
            "fp",
            "fp check",
            "fp --cache-file f",
            "fp --cache-file f look",
            "fp --cache-file f check more",
            "fp --cache-file f --cache-type size check",
            "fp --cache-file f mark-success --root .",
            "fp --cache-file f check --ext a,,b",
            "fp --cache-file= check",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
