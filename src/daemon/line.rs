//! Journal lines of ended commands.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use super::about::About;
use super::underway::{Ended, Fate};
use crate::protocol::message::{Exit, Invocation};
use crate::session::cause::{Cause, Difference, text};
use crate::session::journal::{Line, Outcome};
use crate::session::kind::Language;
use crate::session::reason::{Reason, Stage};
use crate::session::record::SessionId;
use crate::session::time::iso;
use crate::tools::environment::{Environment, names_that_matter};
use crate::tools::find::{absolute, base, find_tool, own_key};
use crate::tools::kind;

/// The session that an invocation names, if that is a UUID.
pub(super) fn session_of(invocation: &Invocation) -> Option<SessionId> {
    let env = Environment::new(&invocation.env);
    SessionId::parse(env.get(b"ZCCACHE_SESSION_ID")?)
}

/// The line of a command; `start_us` is when it began, microseconds since 1970.
pub(super) fn of(ended: &Ended, start_us: u64) -> Line {
    let command = &ended.command;
    let latency = ended.at.saturating_duration_since(command.began);
    let mut line = begin(&command.invocation, start_us, latency);
    line.lane = command.lane;
    match &command.fate {
        Fate::Hit { about, saved_ns } => {
            tell(&mut line, &command.invocation, about);
            line.saved_ns = *saved_ns;
            line.exit_code = Some(about.status);
        }
        Fate::Ran { about, exit, took_ns, causes } => {
            line.outcome = Outcome::Miss;
            tell(&mut line, &command.invocation, about);
            // Some tools answer by other statuses than 0, which is then what was stored.
            if exit.is_some_and(|exit| exit != Exit::Status(about.status)) {
                line.outcome = Outcome::Error;
            }
            line.exit_code = exit.map(|exit| match exit {
                Exit::Status(status) => status,
                Exit::Signal(signal) => 128 + signal,
            });
            line.compile_ns = *took_ns;
            line.causes = causes.clone();
            line.reason = telling(causes);
        }
        Fate::Plain(reason, argument) => refuse(&mut line, *reason, argument.as_deref()),
        Fate::FellBack(reason) => refuse(&mut line, *reason, None),
        Fate::Asked | Fate::Running => refuse(&mut line, Reason::Unanswered, None),
    }
    line
}

/// The line of a command that could not be asked about, or had to go without an answer.
pub fn fallback(invocation: &Invocation, start_us: u64, latency: Duration, reason: Reason) -> Line {
    let mut line = begin(invocation, start_us, latency);
    refuse(&mut line, reason, None);
    line
}

/// The reason that can be acted on: what kept a result from being stored will keep it so the
/// next time, whatever the miss was about.
fn telling(causes: &[Cause]) -> Option<Reason> {
    let lasting = |cause: &&Cause| cause.reason.stage() == Stage::NotStored;
    causes.iter().find(lasting).or(causes.first()).map(|cause| cause.reason)
}

/// What the invocation alone tells.
fn begin(invocation: &Invocation, start_us: u64, latency: Duration) -> Line {
    let mut lossy = false;
    let mut tell = |bytes: &[u8]| {
        lossy |= std::str::from_utf8(bytes).is_err();
        text(bytes)
    };
    let mut words = invocation.argv.split(|byte| *byte == 0).map(&mut tell);
    let name = words.next().unwrap_or_default();
    let mut args: Vec<String> = words.collect();
    // The block ends with a NUL.
    args.pop();
    let cwd = tell(&invocation.cwd);
    let (env, unclear) = environment(Environment::new(&invocation.env), &[]);
    lossy |= unclear;
    let kind = kind::of_name(base(name.as_bytes()));
    Line {
        ts: iso(start_us),
        outcome: Outcome::Hit,
        tool: kind.tool,
        language: kind.language,
        compiler: name,
        args,
        cwd,
        env,
        exit_code: None,
        session_id: session_of(invocation).map(|id| id.to_string()),
        latency_ns: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
        reason: None,
        key: None,
        start_us,
        lane: 0,
        compile_ns: 0,
        saved_ns: 0,
        bytes: 0,
        sources: Vec::new(),
        outputs: Vec::new(),
        causes: Vec::new(),
        worktree_equivalent: false,
        again: invocation.again,
        lossy,
    }
}

/// What was understood of it.
fn tell(line: &mut Line, invocation: &Invocation, about: &About) {
    let list = |paths: &[Vec<u8>]| paths.iter().map(|path| text(path)).collect();
    line.compiler = text(&about.program);
    line.tool = about.kind.tool;
    line.language = about.kind.language;
    line.sources = list(&about.sources);
    line.outputs = list(&about.outputs);
    line.bytes = about.bytes;
    if about.kind.language == Language::Link {
        line.outcome = line.outcome.of_link();
    }
    line.worktree_equivalent = line.outcome.is_hit() && about.is_from_elsewhere;
    line.key = about.key.map(|key| blake3::Hash::from_bytes(key.0).to_hex().to_string());
    if !about.variables.is_empty() {
        let (env, unclear) = environment(Environment::new(&invocation.env), &about.variables);
        line.env = env;
        line.lossy |= unclear;
    }
}

fn refuse(line: &mut Line, reason: Reason, argument: Option<&[u8]>) {
    // Nobody looked for the tool yet, or it was not found.
    let name = line.compiler.as_bytes();
    let path = line.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_bytes());
    let cwd = line.cwd.as_bytes();
    if let Ok(found) = find_tool(name, path, cwd, own_key()) {
        line.compiler = text(&absolute(cwd, &found.path));
    }
    let argument = argument.map(|argument| Difference::Argument { argument: text(argument) });
    line.outcome = Outcome::Uncacheable;
    line.reason = Some(reason);
    line.causes = vec![Cause::new(b"", reason, argument.into_iter().collect())];
}

/// The variables that can affect a result, by name, and whether some were no text. `more` are
/// those that the tool was found to read.
fn environment(env: Environment<'_>, more: &[Vec<u8>]) -> (Vec<(String, String)>, bool) {
    let mut lossy = false;
    static MATTER: LazyLock<HashSet<&[u8]>> = LazyLock::new(names_that_matter);
    let mut kept = BTreeMap::new();
    for (name, value) in env.iter() {
        if !MATTER.contains(name) && !more.iter().any(|read| read == name) {
            continue;
        }
        lossy |= std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err();
        let name = text(name);
        let shown = if sounds_secret(&name) {
            lossy = true;
            format!("blake3:{}", &blake3::hash(value).to_hex()[..16])
        } else {
            text(value)
        };
        // As getenv has it, the first of two counts.
        kept.entry(name).or_insert(shown);
    }
    (kept.into_iter().collect(), lossy)
}

/// A variable that a build may read and nobody should find in a file later.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY"];
    words.iter().any(|word| name.contains(word)) || name.ends_with("_KEY") || name == "KEY"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(env: &[u8]) -> Line {
        let invocation = Invocation {
            argv: b"gcc\0-c\0a.c\0".to_vec(),
            env: env.to_vec(),
            cwd: b"/w".to_vec(),
            ..Invocation::default()
        };
        fallback(&invocation, 1_000_000, Duration::from_nanos(5), Reason::NoDaemon)
    }

    #[test]
    fn only_what_matters_is_told() {
        let told = line(b"LANG=C\0AWS_SECRET=x\0PATH=/none\0HOME=/h\0SHLVL=1\0");
        let names: Vec<_> = told.env.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "LANG", "PATH"]);
        assert_eq!(told.args, ["-c", "a.c"]);
        assert_eq!((told.outcome, told.reason), (Outcome::Uncacheable, Some(Reason::NoDaemon)));
        assert!(!told.lossy);
        assert_eq!(told.ts, "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn secrets_that_a_tool_reads_are_hidden() {
        let env = Environment::new(b"API_TOKEN=abc\0A=1\0A=2\0");
        let more = [b"API_TOKEN".to_vec(), b"A".to_vec()];
        let (told, lossy) = environment(env, &more);
        assert!(lossy);
        assert_eq!(told[0], ("A".to_owned(), "1".to_owned()));
        assert!(told[1].1.starts_with("blake3:") && !told[1].1.contains("abc"));
    }

    #[test]
    fn only_uuids_are_sessions() {
        assert_eq!(line(b"ZCCACHE_SESSION_ID=../x\0").session_id, None);
        let id = SessionId::new().to_string();
        let env = format!("ZCCACHE_SESSION_ID={id}\0");
        assert_eq!(line(env.as_bytes()).session_id, Some(id));
    }

    #[test]
    fn what_is_not_text_is_marked() {
        assert!(line(b"LANG=\xff\0").lossy);
    }
}
