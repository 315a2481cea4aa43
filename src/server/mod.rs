//! What every daemon of ours is made of, whatever it serves.
//!
//! * `root`: the cache folder with a daemon's socket and locks;
//! * `place`: whether a folder that is there already may be a root;
//! * `start`: the client's side: connect, start one if there is none, replace an older one;
//! * `life`: the process's own life: detach, lock, listen, end;
//! * `name`: the name by which clients find it;
//! * `hub`: the loop's inside: poll, clients, when to leave;
//! * `connection`, `peer`: one client, and who that is.

pub mod connection;
pub mod hub;
pub mod life;
mod name;
pub mod peer;
pub mod place;
pub mod root;
pub mod start;
