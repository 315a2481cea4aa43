//! The cache itself: its daemon, its state, the ways in.

use super::words;
use crate::cli::table::*;
use crate::cli::table::{Group::*, Json::*, Kind::*};
use crate::cli::{clear, daemon, exec, link, start, status, stop};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "start",
        group: Cache,
        summary: "start the daemon",
        about: "Fine when one runs already. The first compile starts it too.",
        example: ("zccache start", "have it ready before a build"),
        run: Some(start::run),
        ..COMMAND
    },
    Command {
        name: "stop",
        aliases: &["kill"],
        group: Cache,
        summary: "stop the daemon",
        about: "Waits until it has written down what it knows. Fine when none runs.",
        example: ("zccache stop", "end the daemon of this cache"),
        run: Some(stop::run),
        ..COMMAND
    },
    Command {
        name: "daemon",
        group: Cache,
        summary: "be the daemon",
        about: "Without --foreground it starts one in the background and returns once it listens.",
        flags: &[
            switch("foreground", "serve here, until stopped"),
            // Ours: says when it listens, and lets go of its starter.
            switch("detached", ""),
            valued("idle-timeout", "SECS", Number, "leave after so long without a question"),
            valued("endpoint", "SOCK", File, "listen at another socket"),
            valued(
                "log-level",
                "LEVEL",
                OneOf(&["off", "error", "warn", "info", "debug", "trace"]),
                "how much logs/daemon.log is told",
            ),
        ],
        example: ("zccache daemon --foreground --log-level debug", "watch it at work"),
        run: Some(daemon::run),
        ..COMMAND
    },
    Command {
        name: "status",
        aliases: &["--show-stats"],
        group: Cache,
        summary: "what the cache did and holds",
        about: "Exit status 1 when no daemon runs; what the disk says is shown all the same.",
        flags: &[JSON],
        example: ("zccache status --json | jq .hit_rate", "one figure out of it"),
        json: &[
            field("running", Bool, "a daemon runs"),
            field("version", Str, "of the daemon, or of this program"),
            field("socket", Str, "where the daemon listens"),
            field("pid", Int, "the daemon's process; 0 without one"),
            field("uptime_s", Int, "seconds since the daemon started"),
            field("cache_dir", Str, "the cache root"),
            field("compilations", Int, "hits, misses and non_cacheable"),
            field("hits", Int, "served from the cache"),
            field("worktree_hits", Int, "hits, among those, on what another checkout made"),
            field("misses", Int, "compiled, and stored where possible"),
            field("non_cacheable", Int, "run as they are"),
            field("errors", Int, "compiles that failed"),
            field("hit_rate", Float, "hits in a hundred of hits and misses"),
            field("time_saved_ns", Int, "compile time that hits did not spend, nanoseconds"),
            field("by_language", Object, "the same for each language"),
            field("by_language.**", Object, "hits, misses, non_cacheable, hit_rate, time_saved_ns"),
            field("by_tool", Object, "the same for each family of tools"),
            field("by_tool.**", Object, "as in by_language"),
            field("artifacts", Int, "results in the store"),
            field("artifact_bytes", Int, "the size of its files"),
            field("artifact_limit", Int, "the size the store may have, bytes"),
            field("dep_graph", Int, "commands remembered"),
            field("metadata", Int, "files whose content is known"),
            field("watched_folders", Int, "folders watched for changes"),
            field("watched_trees", Int, "selections of files that fp asked about, watched"),
            field("links", Int, "links looked up, among the compilations"),
            field("sessions", Int, "sessions that have not ended"),
            field("journal_lines_lost", Int, "lines that could not be written"),
            field("reasons", Object, "how often each reason was given"),
            field("reasons.*", Int, "for one reason"),
        ],
        run: Some(status::run),
        ..COMMAND
    },
    Command {
        name: "clear",
        aliases: &["--clear"],
        group: Cache,
        summary: "remove all cached results",
        about: "With or without a daemon.",
        flags: &[JSON],
        example: ("zccache clear", "begin with an empty cache"),
        json: &[
            field("artifacts", Int, "results removed from the store"),
            field("metadata", Int, "remembered files removed"),
            field("dep_graph", Int, "remembered commands removed"),
            field("bytes", Int, "disk space freed"),
        ],
        run: Some(clear::run),
        ..COMMAND
    },
    Command {
        name: "link",
        group: Cache,
        summary: "make a folder of compiler names that lead here",
        about: "Symlinks for the named tools, or for every known compiler on PATH. Prints the line \
                that puts the folder on PATH.",
        words: words("DIR [TOOL...]", 1, usize::MAX, Folder),
        flags: &[
            switch("force", "replace what is there"),
            switch("remove", "remove the links instead"),
        ],
        example: ("zccache link ~/.zccache-bin", "then put that folder first on PATH"),
        run: Some(link::run),
        ..COMMAND
    },
    Command {
        name: "exec",
        group: Cache,
        summary: "any command, by what you say of it",
        about: "The result depends on the command's words, the working folder, the program, the \
                variables that --env names, and the files that --input names: which there are, \
                and what is in them. Anything else that the command looks at is at your risk. \
                Only success is kept. What is an output is no input. In a glob * and ? stay \
                within a folder and ** does not; a folder means all that is in it. Exit status \
                125: the command succeeded and did not make what --output names.",
        words: Words { command_line: true, ..words("COMMAND ARGS...", 1, usize::MAX, Text) },
        flags: &[
            valued("input", "GLOB", Text, "files that it reads; may be repeated"),
            valued("output", "PATH", File, "a file or folder that it makes; may be repeated"),
            valued("env", "NAME", Text, "a variable that it looks at; may be repeated"),
        ],
        example: (
            "zccache exec --input 'in/*' --output all -- ./join",
            "run it if a file of in changed",
        ),
        run: Some(exec::run),
        ..COMMAND
    },
];
