//! The journal's lines: one JSON object for each command that a daemon was asked about (and
//! for those that fell back to the bare compiler because none could be asked). The global
//! journal, `logs/compile_journal.jsonl` under the cache root, and those of sessions have the
//! same lines.
//!
//! A reader must expect fields it does not know, and lines that are cut off.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::kind::{Language, Tool};
use super::reason::Reason;

/// How a command ended, for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything came from the cache.
    Hit,
    /// The compiler ran, for at least one source, and succeeded.
    Miss,
    /// The compiler ran and failed, or was ended by a signal.
    Error,
    /// As `Hit`, for a link.
    LinkHit,
    /// As `Miss`, for a link.
    LinkMiss,
    /// The command ran as it was; the cache had no part in it.
    Uncacheable,
}

/// One line. Text that is no UTF-8 is written with replacement characters, and `lossy` says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When the daemon read the request: ISO 8601, UTC, milliseconds. The same moment as
    /// `start_us`.
    pub ts: String,
    pub outcome: Outcome,
    /// The compiler's file, absolute; as typed where it was not found out.
    pub compiler: String,
    /// The arguments after the compiler's name, as typed (response files not expanded).
    pub args: Vec<String>,
    pub cwd: String,
    /// The variables that can affect the result, sorted by name, each `[name, value]`. Values
    /// of names that sound like secrets are replaced by `blake3:` and a digest.
    pub env: Vec<(String, String)>,
    /// As a shell has it: 128 and the number for a signal. None where the command ran as it
    /// was: nobody waited for it but its caller.
    pub exit_code: Option<i32>,
    /// None: no session, or `ZCCACHE_SESSION_ID` is no UUID.
    pub session_id: Option<String>,
    /// From the request's arrival until the wrapper was done (a hit delivered, a miss run and
    /// taken in) or became the tool: of a command that ran as it was, this is only what the
    /// cache added.
    pub latency_ns: u64,
    /// The first one of `causes` that can be acted on. None for hits.
    pub reason: Option<Reason>,
    /// The stored result's key in hex, of the first source; None where nothing was stored.
    /// What `zccache inspect` takes.
    pub key: Option<String>,

    /// When the daemon read the request, microseconds since 1970 (exact in a double). The
    /// command's end is `start_us + latency_ns / 1000`.
    pub start_us: u64,
    /// The lowest number, from 0, that no other command under way had: the row of a timeline.
    pub lane: u32,
    pub tool: Tool,
    pub language: Language,
    /// How long the compiler ran; 0 for hits and for commands that ran as they were.
    pub compile_ns: u64,
    /// Compile time that a hit did not spend: what the stored compile took.
    pub saved_ns: u64,
    /// Size of the outputs that came from the store, or went into it.
    pub bytes: u64,
    /// The sources, absolute. Empty for commands that were not understood.
    pub sources: Vec<String>,
    /// The main output of each source, absolute, in the same order.
    pub outputs: Vec<String>,
    /// For each source why it was not a hit, and why it was not stored. Empty for hits.
    pub causes: Vec<Cause>,
    /// The hit is one on what another checkout made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worktree_equivalent: bool,
    /// A line before this one calls the same command a hit that could not be delivered after
    /// all; this line tells what became of it, and the other one does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Some bytes could not be written as text: this line can't be replayed as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy: bool,
}

impl Outcome {
    /// As the journal writes it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Error => "error",
            Outcome::LinkHit => "link_hit",
            Outcome::LinkMiss => "link_miss",
            Outcome::Uncacheable => "uncacheable",
        }
    }

    /// The same, for a link.
    pub fn of_link(self) -> Outcome {
        match self {
            Outcome::Hit => Outcome::LinkHit,
            Outcome::Miss => Outcome::LinkMiss,
            other => other,
        }
    }

    /// Everything came from the cache.
    pub fn is_hit(self) -> bool {
        matches!(self, Outcome::Hit | Outcome::LinkHit)
    }
}

/// The beginning of a text, in whole characters.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Line {
    /// What a command is called in a list: its source, else its output, else what was typed.
    pub fn name(&self) -> String {
        let made = self.sources.first().or(self.outputs.first());
        match (made, self.sources.len()) {
            (Some(first), 0 | 1) => first.clone(),
            (Some(first), count) => format!("{first} and {} more", count - 1),
            (None, _) => {
                let tool = self.compiler.rsplit('/').next().unwrap_or_default();
                shortened(&format!("{tool} {}", self.args.join(" ")), 120)
            }
        }
    }

    /// One line for people: when, what became of it, how long it took, what it was about, why.
    pub fn words(&self) -> String {
        let about = match (self.sources.first(), self.outputs.first()) {
            (Some(source), Some(output)) => format!("{source} -> {output}"),
            _ => format!("{} {}", self.compiler, self.args.join(" ")),
        };
        let mut text = format!(
            "{} {:<11} {:>9.3} ms  {about}",
            self.ts,
            self.outcome.name(),
            self.latency_ns as f64 / 1e6
        );
        for cause in &self.causes {
            text.push_str(&format!("  {}", cause.reason));
            let first = cause.differences.iter().map(|difference| difference.words()).next();
            text.extend(first.map(|words| format!(": {words}")));
        }
        // A name may hold anything, and this is to be one line.
        text.replace('\n', "\\n")
    }
}
