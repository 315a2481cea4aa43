//! The integration tests: one binary, so that it links once. Each test drives the built
//! program from outside, in a sandbox of its own.

// What all the others stand on: sandboxes, counting compilers, comparison with a bare run.
mod kit;

// How the daemon comes, goes, and survives what is done to it.
mod daemon;
// What a hit leaves behind: modes, links, damaged blobs and damaged outputs.
mod delivery;
// Whether a step has to run again.
mod fp;
// What must be served from the cache, and served right.
mod hits;
// Arduino sketches as C++.
mod ino;
// Several who ask for the same at once.
mod in_flight;
// A real project, built by make, twice.
mod project;
// The rules of the code that runs before libc.
mod quick;
// One for each bug that was found.
mod regressions;
// What must not be served from the cache, since something it depends on changed.
mod stale;
// One invocation as its caller sees it: names, statuses, streams, the link farm.
mod wrapper;
// The stream of changes.
mod watch;
