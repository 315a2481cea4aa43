//! The process that knows: one for each cache root.
//!
//! * `start`: the client's side: connect, start one if there is none, replace an older one;
//! * `serve`: the process's own life: lock, detach, listen, end;
//! * `event_loop`: the only thread that answers; never blocks, opens no file;
//! * `requests`: what it does with each message;
//! * `memo`: answers by request, for the warm path;
//! * `lookup` and `finish`: the two jobs of the workers, before and after a compile;
//! * `ground`, `result_key`: what both jobs need: surroundings for a tool, names for results;
//! * `fingerprint`: the watched trees of `fp`;
//! * `shared`, `spellings`: what loop and workers have in common;
//! * `root`: the cache folder with its socket and locks.

mod connection;
mod event_loop;
mod fingerprint;
mod finish;
mod ground;
mod in_flight;
mod lookup;
mod memo;
mod peer;
mod requests;
mod result_key;
pub mod root;
pub mod serve;
mod shared;
mod spellings;
pub mod start;
mod upkeep;
mod workers;
