//! The process that knows: one for each cache root.
//!
//! * `start`: how commands and the wrapper reach it;
//! * `serve`: from start to end; the life cycle itself is in `server`; `opening`: an index that may come late;
//! * `event_loop`: the only thread that answers; never blocks, opens no file;
//! * `requests`, `answers`, `endings`: what it does with each message, with questions about commands, with the ends of compiles;
//! * `jobs`: what it hands to workers and gets back;
//! * `memo`: answers by request, for the warm path; `notices`: what of that is on the board;
//! * `lookup` and `finish`: the two jobs of the workers, before and after a compile;
//! * `hit`: what becomes of results once they are known to fit;
//! * `explain`, `compare`, `known`: why something was missed;
//! * `underway`, `about`, `line`, `scribe`: what the journal is told, and who writes it;
//! * `picture`: what is going on right now;
//! * `inspect`: a stored result in words;
//! * `kept_hashes`: which file had which content, over restarts;
//! * `ground`, `result_key`: what both jobs need: surroundings for a tool, names for results;
//! * `fingerprint`: the watched trees of `fp`;
//! * `shared`, `spellings`: what loop and workers have in common;
//! * `configured`, `processor`: what the settings file says; how busy the machine is;
//! * `checkup`: what `doctor` looks at, while no daemon runs.

mod about;
mod answers;
pub mod checkup;
mod compare;
mod configured;
mod endings;
mod event_loop;
mod explain;
mod find;
mod fingerprint;
mod finish;
mod ground;
mod hit;
mod in_flight;
mod inspect;
mod jobs;
mod kept_hashes;
mod known;
pub mod line;
mod lookup;
mod memo;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod notices;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "no_notices.rs"]
mod notices;
mod opening;
mod packed;
mod picture;
mod pieces;
mod processor;
mod requests;
mod result_key;
mod scribe;
pub mod serve;
mod shared;
mod spellings;
pub mod start;
mod state;
mod underway;
mod upkeep;
mod workers;
