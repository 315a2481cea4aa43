//! What `--help` prints.

/// The whole text.
pub const TEXT: &str = "\
zccache: a compiler cache

  zccache COMPILER ARGS...         run the compiler through the cache
  zccache wrap [--] COMPILER ...   the same, for a compiler named like a command
  zccache --strict-paths[=off|consistent|absolute] COMPILER ...

A symlink named like a compiler works too: see `link`.

The cache
  start, stop (kill)      start or stop the daemon; both may be repeated
  daemon                  be the daemon
  status (--show-stats)   what the cache did and holds
  clear (--clear)         remove all cached results
  inspect KEY             show one result
  crashes                 crash reports of past daemons
  config                  show the settings
  doctor [--repair]       look for trouble, and mend it
  link DIR [TOOL...]      make a folder of compiler names that lead here

Sessions
  session-start, session-stats ID, session-end ID

Other tools
  fp, download, ino, gha-cache, cargo-registry, warm, snapshot-bytes

  --version, -V           print the version
  --help, -h              print this
";
