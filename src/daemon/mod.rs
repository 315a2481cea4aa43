//! The process that knows: one for each cache root.
//!
//! * `start`: the client's side: connect, start one if there is none, replace an older one;
//! * `serve`: the process's own life: lock, detach, listen, end;
//! * `event_loop`: the only thread that answers; never blocks, opens no file;
//! * `requests`, `endings`: what it does with each message, and with the ends of compiles;
//! * `memo`: answers by request, for the warm path;
//! * `lookup` and `finish`: the two jobs of the workers, before and after a compile;
//! * `explain`, `compare`, `known`: why something was missed;
//! * `underway`, `about`, `line`, `scribe`: what the journal is told, and who writes it;
//! * `picture`: what is going on right now;
//! * `inspect`: a stored result in words;
//! * `ground`, `result_key`: what both jobs need: surroundings for a tool, names for results;
//! * `fingerprint`: the watched trees of `fp`;
//! * `shared`, `spellings`: what loop and workers have in common;
//! * `configured`, `processor`: what the settings file says; how busy the machine is;
//! * `root`: the cache folder with its socket and locks.

mod about;
mod compare;
mod configured;
mod connection;
mod endings;
mod event_loop;
mod explain;
mod fingerprint;
mod finish;
mod ground;
mod in_flight;
mod inspect;
mod known;
pub mod line;
mod lookup;
mod memo;
mod peer;
mod picture;
mod processor;
mod requests;
mod result_key;
pub mod root;
mod scribe;
pub mod serve;
mod shared;
mod spellings;
pub mod start;
mod underway;
mod upkeep;
mod workers;
