//! What the daemon knows of files: which exist, what they contain, and whether that is
//! still so. Knows nothing of compilers.
//!
//! * `table`: the one face of the room: paths, what is at them, when that last changed;
//! * `ticket`: what changed since a compile began;
//! * `walk`: from a path to what is there, hop by hop, watching every folder on the way;
//! * `nodes`: the names in watched folders and the paths that depend on them;
//! * `watch`: the inotify descriptor;
//! * `trust`: which file systems tell us of every change;
//! * `clock`: whether the system clock was set back;
//! * `hash`: file content.

pub mod clock;
pub mod hash;
mod nodes;
pub mod table;
pub mod ticket;
pub mod trust;
mod walk;
pub mod watch;

pub use hash::{ContentHash, FileStat};
pub use nodes::Counter;
pub use table::{FileTable, Seen};
pub use walk::look_plainly;

/// An absolute path, by number. Numbers are never reused while the daemon lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub u32);
