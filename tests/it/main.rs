//! The integration tests: one binary, so that it links once. Each test drives the built
//! program from outside, in a sandbox of its own.

// What all the others stand on: sandboxes, counting compilers, comparison with a bare run.
mod kit;

// Outputs that are no files, messages, terminals, and files nobody names.
mod beside;
// Hits that nobody is asked for.
mod board;
// How the daemon comes, goes, and survives what is done to it.
mod daemon;
// What breaks inside: every step of daemon and wrapper, by order.
mod faults;
// Something else that answers in the daemon's place.
mod impostor;
// The cache's own files and disk; `doctor`.
mod damage;
// The parsers with the seeds of the fuzz targets.
mod fuzz;
// Links: programs, libraries, scripts, and what linkers look for.
mod links;
// Links that rustc makes, and what their arguments name.
mod rust_links;
// Archives.
mod archives;
// Emscripten: compiles, links with siblings, its toolchain.
mod emscripten;
// Limits of the system.
mod limits;
// Other users.
mod neighbours;
// What a hit leaves behind: modes, links, damaged blobs and damaged outputs.
mod delivery;
// Whether a step has to run again.
mod fp;
// What must be served from the cache, and served right.
mod hits;
// Downloads: from servers that behave and servers that don't, killed and cut off at any byte.
mod download;
// A web server that does what a test wants, however wrong.
mod web_server;
// What archives unpack to, and what hostile ones don't.
mod unpack;
// Arduino sketches as C++.
mod ino;
// Several who ask for the same at once.
mod in_flight;
// What commands say: help, completions, the man page, JSON as it is documented.
mod look;
// A real project, built by make, twice.
mod project;
// The rules of the code that runs before libc.
mod quick;
// A journal as a web page, a trace, and words; the page in a real browser.
mod report;
// One for each bug that was found.
mod regressions;
// What compilers take for one file or one folder, and other things about inputs beside their contents.
mod relations;
// The order of the rooms of the source.
mod rooms;
// What a Rust compile depends on that no list of files tells.
mod rust;
// Sessions, the journal, its replay, and what is said when they are used badly.
mod session;
// Settings: the file and the environment, strict paths, the compilers' priority.
mod settings;
// What must not be served from the cache, since something it depends on changed.
mod stale;
// The live view, on a real terminal.
mod top;
// Why something was not a hit: what is said compared with what was done.
mod why;
// One invocation as its caller sees it: names, statuses, streams, the link farm.
mod wrapper;
// The stream of changes.
mod watch;
// clang-tidy and include-what-you-use.
mod tidy;
// rustfmt.
mod rustfmt;
// Any command, by what is said of it.
mod exec;
// Several checkouts of one repository.
mod worktrees;
