//! Why one unit of one command was not a hit: the reason, and what exactly differed.

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// Why one unit (one source) was not served from the cache, or not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The source as spelled on the command line, or the crate's name. Empty where the
    /// command was refused as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    pub reason: Reason,
    /// What differs from the nearest state or command that is known; empty where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// How many more differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
}

/// Differences listed of one unit; the others are counted.
pub const DIFFERENCES_MAX: usize = 20;

impl Cause {
    /// `differences` may be any number.
    pub fn new(unit: &[u8], reason: Reason, mut differences: Vec<Difference>) -> Cause {
        let more = differences.len().saturating_sub(DIFFERENCES_MAX) as u32;
        differences.truncate(DIFFERENCES_MAX);
        Cause { unit: text(unit), reason, differences, more }
    }
}

/// Bytes as text; what is no UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One thing that is not as it was when the result that comes closest was stored. In JSON an
/// object whose `what` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// An input has other content. Hashes are the first 16 hex digits of blake3; None: not
    /// known any more.
    Content {
        path: String,
        before: Option<String>,
        after: String,
        /// The file's modification time now, microseconds since 1970.
        changed_us: u64,
    },
    /// An input that was read is no longer there.
    Gone { path: String },
    /// A path that was looked for in vain is there now.
    Appeared { path: String },
    /// A path that was only looked for, and found, is no longer there.
    Vanished { path: String },
    /// A path changed while the compiler ran.
    ChangedMeanwhile { path: String },
    /// An output that was not there, or could not be taken in.
    NotTaken { path: String },
    /// An argument that the nearest known command does not have.
    FlagAdded { flag: String },
    /// An argument that only the nearest known command has.
    FlagRemoved { flag: String },
    /// The same arguments in another order.
    FlagOrder,
    /// A variable; None: not set. Hidden ones were read by the tool, and their values are not
    /// kept.
    Variable {
        name: String,
        before: Option<String>,
        after: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hidden: bool,
    },
    /// A file that makes the tool what it is has other content.
    ToolFile { path: String },
    /// The tool is another one, or its flags and settings make it another.
    Tool { before: String, after: String },
    /// Something else is made (`-S` instead of `-c`), or of another language.
    Made { before: String, after: String },
    /// The working folder, where the result records it.
    Folder { before: String, after: String },
    /// An output's name, where the result records it.
    OutputName { before: String, after: String },
    /// The source is spelled differently (the result records its name).
    SourceName { before: String, after: String },
    /// The file that the tool changes (an archive) was another one before.
    Before,
    /// What the store last had to remove to stay below its limit; `at_us` in microseconds since
    /// 1970.
    Eviction { at_us: u64, limit_bytes: u64 },
    /// The argument that can't be cached, or that is not known.
    Argument { argument: String },
}

impl Difference {
    /// In words: what is so now, and what was before.
    pub fn words(&self) -> String {
        use Difference::*;
        let from = |before: &str, after: &str| format!("`{after}` instead of `{before}`");
        match self {
            Content { path, before, after, .. } => {
                let before = before.as_deref().unwrap_or("unknown");
                format!("{path} changed ({} -> {})", short(before), short(after))
            }
            Gone { path } => format!("{path} is gone"),
            Appeared { path } => format!("{path} appeared"),
            Vanished { path } => format!("{path}, which was found before, is gone"),
            ChangedMeanwhile { path } => format!("{path} changed while the compiler ran"),
            NotTaken { path } => format!("{path} was not there, or could not be taken in"),
            FlagAdded { flag } => format!("`{flag}` is new"),
            FlagRemoved { flag } => format!("`{flag}` is gone"),
            FlagOrder => "the same arguments in another order".to_owned(),
            Variable { name, hidden: true, .. } => format!("{name} has another value"),
            Variable { name, before: None, after: Some(after), .. } => {
                format!("{name}=`{after}` is set")
            }
            Variable { name, before: Some(before), after: None, .. } => {
                format!("{name} is not set (was `{before}`)")
            }
            Variable { name, before, after, .. } => {
                let value = |value: &Option<String>| value.clone().unwrap_or_default();
                format!("{name} is {}", from(&value(before), &value(after)))
            }
            ToolFile { path } => format!("{path}, a part of the compiler, changed"),
            Tool { before, after } if before == after => {
                format!("{after} has other flags or settings that choose its parts")
            }
            Tool { before, after } => format!("the compiler is {}", from(before, after)),
            Made { before, after } => format!("made is {}", from(before, after)),
            Folder { before, after } => format!("the folder is {}", from(before, after)),
            OutputName { before, after } => format!("the output is {}", from(before, after)),
            SourceName { before, after } => format!("the source is {}", from(before, after)),
            Before => "the file to be changed was another one before".to_owned(),
            Eviction { at_us, limit_bytes } => {
                let mib = limit_bytes >> 20;
                format!("last removal {}, the limit was {mib} MiB", super::time::iso(*at_us))
            }
            Argument { argument } => format!("`{argument}`"),
        }
    }

    /// What many misses may have in common: the difference without its values.
    pub fn subject(&self) -> String {
        use Difference::*;
        match self {
            Content { path, .. } => format!("{path} changed"),
            Variable { name, .. } => format!("{name} has another value"),
            OutputName { .. } => "another output name, which the result records".to_owned(),
            SourceName { .. } => "another spelling of the source".to_owned(),
            Eviction { .. } => "removed to stay below the size limit".to_owned(),
            _ => self.words(),
        }
    }
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_the_variant() {
        let cause = Cause::new(
            b"a.c",
            Reason::InputChanged,
            vec![Difference::Appeared { path: "/w/a.h".to_owned() }],
        );
        let json = serde_json::to_string(&cause).unwrap();
        assert_eq!(
            json,
            r#"{"unit":"a.c","reason":"input_changed","differences":[{"what":"appeared","path":"/w/a.h"}]}"#
        );
        assert_eq!(serde_json::from_str::<Cause>(&json).unwrap(), cause);
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let cause = Cause::new(b"", Reason::InputChanged, vec![Difference::FlagOrder; 30]);
        assert_eq!((cause.differences.len(), cause.more), (20, 10));
    }

    #[test]
    fn a_roll_up_ignores_values() {
        let content = |after: &str| Difference::Content {
            path: "/w/a.h".to_owned(),
            before: None,
            after: after.to_owned(),
            changed_us: 0,
        };
        assert_eq!(content("1").subject(), content("2").subject());
        assert_ne!(content("1").words(), content("2").words());
    }
}
