//! What the daemon tells for people to read, and for `--json`.

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::session::cause::Cause;
use crate::session::journal::Outcome;
use crate::session::kind::Kind;
use crate::session::reason::Reason;
use crate::session::stats::Counters;

/// Travels as JSON text: for types whose JSON form postcard can't follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&serde_json::to_string(&self.0).map_err(S::Error::custom)?)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        serde_json::from_str(&text).map(Json).map_err(D::Error::custom)
    }
}

/// What would become of a command, and what its key is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The tool's file; empty when the command would run as it is.
    pub compiler: String,
    pub kind: Kind,
    /// One for each source; none when the command would run as it is.
    pub units: Vec<ExplainedUnit>,
    /// Why it would not be a hit; empty for a hit.
    pub causes: Vec<Cause>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExplainedUnit {
    /// The source as spelled, or the crate.
    pub name: String,
    /// The action's key, in hex.
    pub action: String,
    /// What that key is made of: what the part is, and what it says.
    pub parts: Vec<(String, String)>,
    /// Absolute.
    pub outputs: Vec<String>,
    /// The result that would serve it, in hex.
    pub key: Option<String>,
    /// Paths the result depends on; 0 when there is none.
    pub inputs: u64,
    pub compile_ns: u64,
    pub bytes: u64,
}

/// What is going on in a daemon, for `top`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    pub pid: u32,
    pub uptime_s: u64,
    pub counters: Counters,
    /// By lane.
    pub under_way: Vec<Moving>,
    /// How many more there are.
    pub more: u64,
    /// The latest first.
    pub recent: Vec<Recent>,
}

/// A command under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moving {
    pub lane: u32,
    pub state: State,
    /// Its source, or the command as typed.
    pub name: String,
    pub for_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// No answer yet.
    Asked,
    /// Being delivered.
    Hit,
    Compiling,
    /// It runs as it is.
    Plain,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Asked => "asked",
            State::Hit => "hit",
            State::Compiling => "compiling",
            State::Plain => "plain",
        }
    }
}

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    pub lane: u32,
    pub outcome: Outcome,
    pub name: String,
    pub latency_ns: u64,
    pub saved_ns: u64,
    pub reason: Option<Reason>,
}

/// One stored result, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    pub key: String,
    pub action: String,
    pub kind: Kind,
    pub compiler: String,
    pub source: String,
    /// Role, size in bytes, blob in hex (None: kept in the record), executable.
    pub outputs: Vec<(String, u64, Option<String>, bool)>,
    /// Bytes of the messages that come back with it.
    pub text_bytes: u64,
    /// As the command spelled them.
    pub read: Vec<String>,
    /// Looked for and not there.
    pub absent: Vec<String>,
    pub variables: Vec<String>,
    pub compile_ns: u64,
    pub bytes: u64,
    pub created_s: u64,
    pub used_s: u64,
}
