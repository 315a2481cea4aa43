//! Sessions: what happens between a start and an end.

use super::ID;
use crate::cli::session;
use crate::cli::table::*;
use crate::cli::table::{Group::*, Json::*, Kind::*};

/// What `session-stats` and `session-end` print.
const SESSION: &[Field] = &[
    field("session_id", Str, "its UUID"),
    field("known", Bool, "false, and nothing else: there is no such session"),
    field("started_at", Int, "seconds since 1970"),
    field("ended_at", MaybeInt, "seconds since 1970; null while it goes on"),
    field("duration_s", Int, "how long it lasted so far"),
    field("cwd", Str, "where it was started"),
    field("journal_path", MaybeStr, "its journal"),
    field("log_path", MaybeStr, "its log"),
    field("compilations", Int, "hits, misses and non_cacheable"),
    field("hits", Int, "served from the cache"),
    field("misses", Int, "compiled"),
    field("non_cacheable", Int, "run as they are"),
    field("errors", Int, "compiles that failed"),
    field("hit_rate", Float, "hits in a hundred of hits and misses"),
    field("time_saved_ns", Int, "compile time that hits did not spend"),
    field("compile_ns", Int, "time that compilers ran"),
    field("bytes", Int, "outputs that came from the store or went into it"),
    field("journal_lines_lost", Int, "journal lines that could not be written"),
    field("by_language", Object, "the same for each language"),
    field("by_language.**", Object, "as in status"),
    field("by_tool", Object, "the same for each family of tools"),
    field("by_tool.**", Object, "as in status"),
    field("reasons", Object, "how often each reason was given"),
    field("reasons.*", Int, "for one reason"),
];

pub const COMMANDS: &[Command] = &[
    Command {
        name: "session-start",
        group: Sessions,
        summary: "begin a session: count and record what follows",
        flags: &[
            switch("stats", "count what happens in it"),
            valued("journal", "FILE.jsonl", File, "record every command here"),
            valued("log", "FILE", File, "log here"),
            valued("cwd", "DIR", Folder, "where relative names start"),
            valued("endpoint", "SOCK", File, "ask the daemon at another socket"),
            valued("format", "FORMAT", OneOf(&["json", "shell"]), "how to print the session"),
        ],
        about: "Prints JSON; with --stats and no --journal the line that joins the session, for eval.",
        example: ("eval \"$(zccache session-start --stats)\"", "join a session in this shell"),
        json: &[
            field("session_id", Str, "a UUID, for ZCCACHE_SESSION_ID"),
            field("started_at", Int, "seconds since 1970"),
            field("journal_path", MaybeStr, "its journal, where it has one"),
        ],
        run: Some(session::start),
        ..COMMAND
    },
    Command {
        name: "session-stats",
        group: Sessions,
        summary: "what happened in a session so far",
        words: ID,
        flags: &[JSON],
        example: ("zccache session-stats $ZCCACHE_SESSION_ID", "in the middle of it"),
        json: SESSION,
        run: Some(session::stats),
        ..COMMAND
    },
    Command {
        name: "session-end",
        group: Sessions,
        summary: "end a session, with its figures",
        words: ID,
        flags: &[JSON],
        example: ("zccache session-end $ZCCACHE_SESSION_ID", "the sum of it"),
        json: SESSION,
        run: Some(session::end),
        ..COMMAND
    },
];
