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
  config, doctor          show the settings; look for trouble
  link DIR [TOOL...]      make a folder of compiler names that lead here

Sessions
  session-start, session-stats ID, session-end ID

Other tools
  fp --cache-file FILE check ...       has a step to run again (0), or not (1)?
  fp --cache-file FILE mark-success    ... and mark-failure, invalidate
  watch [--root DIR]... [--json]       a stream of changed files
  ino --input SKETCH [--output FILE]   an Arduino sketch as C++
  download, gha-cache, cargo-registry, warm, snapshot-bytes

  --version, -V           print the version
  --help, -h              print this
";
