//! The table of all commands. A first word that is not in it is a tool to run.

use super::table::*;
use super::table::{Group::*, Json::*, Kind::*};
use super::{
    clear, completions, config, crashes, daemon, doctor, download, downloader, exec, explain, fp,
    ino, inspect, link, man, report, session, start, status, stop, top, version, watch, why,
};
use crate::download::ArchiveFormat;

/// Names of our own program that stand for a command.
pub const PERSONALITIES: [(&str, &str); 3] =
    [("zccache-daemon", "daemon"), ("zccache-fp", "fp-alone"), ("zccache-download", "downloader")];

/// The command that a first word names, by its name or another one.
pub fn find(word: &[u8]) -> Option<&'static Command> {
    let is_it = |name: &&str| name.as_bytes() == word;
    COMMANDS.iter().find(|command| is_it(&command.name) || command.aliases.iter().any(is_it))
}

const ID: Words = words("ID", 1, 1, Text);

/// Words that are counted, and all of one kind.
const fn words(shown: &'static str, least: usize, most: usize, kind: Kind) -> Words {
    Words { shown, least, most, kind, command_line: false }
}

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

/// What `inspect` prints.
const INSPECTED: &[Field] = &[
    field("key", Str, "the result's key, in hex"),
    field("action", Str, "the key of the command"),
    field("kind", Object, "what was compiled"),
    field("kind.**", Str, "tool and language"),
    field("compiler", Str, "the compiler's file"),
    field("source", Str, "the source"),
    field("outputs", Array, "role, size, blob or null, executable"),
    field("outputs[]", Array, "one output"),
    field("outputs[].**", Str, "its parts"),
    field("text_bytes", Int, "the size of its messages"),
    field("read", Array, "the files it was made from"),
    field("read[]", Str, "a path"),
    field("absent", Array, "what was looked for and not there"),
    field("absent[]", Str, "a path"),
    field("variables", Array, "the variables it depends on"),
    field("variables[]", Str, "a name"),
    field("compile_ns", Int, "what the compile took"),
    field("bytes", Int, "the size of the outputs"),
    field("created_s", Int, "when it was stored, seconds since 1970"),
    field("used_s", Int, "when it was last used"),
];

const MAX_CONNECTIONS: Flag = valued("max-connections", "N", Number, "how many at once, up to 32");
const MIN_SEGMENT: Flag = valued("min-segment-size", "N", Number, "no smaller parts, in bytes");
const ARCHIVE_FORMAT: Flag = valued(
    "archive-format",
    "F",
    OneOf(&ArchiveFormat::NAMES),
    "what to unpack it as; auto goes by its bytes",
);

/// What `zccache-download` takes with a URL.
const FETCH_FLAGS: &[Flag] = &[
    valued("part-url", "URL", Text, "a mirror; may be repeated"),
    valued("expanded", "DIR", Folder, "unpack it there"),
    ARCHIVE_FORMAT,
    valued("sha256", "HEX", Text, "what it must be"),
    valued("multipart-parts", "N", Number, "how many parts"),
    MAX_CONNECTIONS,
    MIN_SEGMENT,
    switch("no-wait", "do not wait for the end"),
    switch("dry-run", "only say what would happen"),
    switch("force", "even if it is there"),
];

/// What a download prints.
const FETCHED: &[Field] = &[
    field("status", Str, "downloaded, already_present, started or would_download"),
    field("download_id", Str, "its name for zccache-download wait, status and cancel"),
    field("cache_path", Str, "where the file is"),
    field("sha256", MaybeStr, "of the file; null while it is not there"),
    field("size", MaybeInt, "of the file, in bytes"),
    field("expanded_path", MaybeStr, "where it is unpacked"),
    field("note", MaybeStr, "what is doubtful about it"),
];

/// What `get`, `wait`, `status` and `cancel` of `zccache-download` print.
const DOWNLOAD: &[Field] = &[
    field("download_id", Str, "the same for the same URL and destination"),
    field("url", Str, "the first address"),
    field("destination", Str, "where the file goes"),
    field(
        "phase",
        Str,
        "queued, connecting, downloading, verifying, unpacking, done, failed or cancelled",
    ),
    field("downloaded_bytes", Int, "so much is there"),
    field("total_bytes", MaybeInt, "null while it is not known"),
    field("connections", Int, "open right now"),
    field("clients", Int, "processes that wait for it"),
    field("outcome", MaybeStr, "once it is done: downloaded or already_present"),
    field("sha256", MaybeStr, "once it is known"),
    field("expanded_path", MaybeStr, "where it is unpacked"),
    field("note", MaybeStr, "what went wrong and was tried again"),
    field("error", MaybeObject, "why it failed"),
    field("error.kind", Str, "mismatch, server and so on"),
    field("error.text", Str, "one line"),
];

/// `fp`, by whatever name.
const FP: Command = Command {
    name: "fp",
    group: Tools,
    summary: "tell whether files changed since a step last succeeded",
    about: "check exits with 0 to run the step, 1 to skip it, and says why on stderr. What it saw is \
            what mark-success marks. Globs are as .gitignore has them.",
    flags: &[
        valued("cache-file", "FILE", File, "where to remember"),
        valued(
            "cache-type",
            "TYPE",
            OneOf(&["two-layer", "hash"]),
            "by stat where that proves content (the default), or always by content",
        ),
        JSON,
    ],
    subs: &[
        Command {
            name: "check",
            summary: "exit 0 when the step must run, 1 when it need not",
            flags: &[
                valued("root", "DIR", Folder, "where to look, by default ."),
                valued("include", "GLOB", Text, "only such files; may be repeated"),
                valued("exclude", "GLOB", Text, "no such files; may be repeated"),
                valued("ext", "EXT", Text, "as --include '*.EXT'; may be repeated"),
            ],
            ..COMMAND
        },
        Command { name: "mark-success", summary: "the step succeeded", ..COMMAND },
        Command { name: "mark-failure", summary: "the step failed", ..COMMAND },
        Command { name: "invalidate", summary: "forget", ..COMMAND },
    ],
    example: (
        "zccache fp --cache-file .lint check --ext c && make lint",
        "lint when a source changed",
    ),
    json: &[
        field("run", Bool, "the step must run"),
        field("reason", Str, "why, or why not"),
        field("changed", Array, "files that differ from those on which the step last succeeded"),
        field("changed[]", Str, "a path, relative to the root"),
        field("created", Array, "those of them that were not there"),
        field("created[]", Str, "a path"),
        field("modified", Array, "those with another content"),
        field("modified[]", Str, "a path"),
        field("removed", Array, "those that are gone"),
        field("removed[]", Str, "a path"),
        field("marked", Bool, "of the other verbs, and nothing else: it was done"),
    ],
    run: Some(fp::run),
    ..COMMAND
};

pub static COMMANDS: &[Command] = &[
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
    Command {
        name: "inspect",
        group: Looking,
        summary: "show one stored result",
        about: "KEY is the key of a journal line, or what why shows; its first 8 digits will do.",
        words: words("KEY", 1, 1, Text),
        flags: &[JSON],
        example: ("zccache inspect 3f9a12c4", "what is stored under a key"),
        json: INSPECTED,
        run: Some(inspect::run),
        ..COMMAND
    },
    Command {
        name: "why",
        group: Looking,
        summary: "why something was not served from the cache",
        words: words("[OUTPUT|SOURCE]", 0, 1, File),
        flags: &[
            valued("last", "N", Number, "the last N misses"),
            valued("session", "ID", Text, "of this session only"),
            JSON,
        ],
        about: "Without words: the last miss, or in a session what its misses have in common.",
        example: ("zccache why src/main.c", "what changed since it was last a hit"),
        json: &[
            field("summary", Object, "sums, and the causes by how often they struck"),
            field("summary.**", Object, "commands, hits, misses, non_cacheable, errors, causes"),
            field("lines", Array, "the commands that were no hits"),
            field("lines[]", Object, "a line of the journal"),
            field("lines[].**", Object, "as in the journal"),
            field("skipped", Int, "journal lines that made no sense"),
        ],
        run: Some(why::run),
        ..COMMAND
    },
    Command {
        name: "explain",
        group: Looking,
        summary: "what would happen to a command, without running it",
        words: Words { command_line: true, ..words("COMPILER ARGS...", 1, usize::MAX, Text) },
        flags: &[JSON],
        about: "Compiles nothing and stores nothing; a compiler that is not known yet is asked \
                about itself. A command of zccache exec is given with the word exec in front.",
        example: ("zccache explain -- gcc -c a.c", "hit or miss, and the parts of the key"),
        json: &[
            field("outcome", Str, "hit, miss or uncacheable"),
            field("compiler", Str, "the compiler's file"),
            field("tool", Str, "its family"),
            field("language", Str, "what is compiled"),
            field("causes", Array, "why it would not be a hit"),
            field("causes[]", Object, "one cause"),
            field("causes[].**", Object, "as in the journal"),
            field("units", Array, "one for each source"),
            field("units[]", Object, "a source"),
            field("units[].unit", Str, "its name"),
            field("units[].action", Str, "the key of the command, in hex"),
            field("units[].key", MaybeStr, "the key of the result, where there is one"),
            field("units[].outputs", Array, "the files it makes"),
            field("units[].outputs[]", Str, "a path"),
            field("units[].inputs", Int, "how many files decide"),
            field("units[].compile_ns", Int, "what the stored compile took"),
            field("units[].bytes", Int, "the size of the outputs"),
            field("units[].parts", Array, "what the key is made of"),
            field("units[].parts[]", Object, "one part"),
            field("units[].parts[].part", Str, "what it is"),
            field("units[].parts[].value", Str, "its value, or its hash"),
        ],
        run: Some(explain::run),
        ..COMMAND
    },
    Command {
        name: "config",
        group: Looking,
        summary: "each setting, and where its value comes from",
        about: "The environment wins over the file, config.toml in the cache root, and that over \
                the defaults. Exit status 1 when something that is set makes no sense.",
        flags: &[JSON],
        example: ("zccache config", "what holds here, and why"),
        json: &[
            field("file", Str, "where the file is, or would be"),
            field("settings", Object, "one object for each variable's name"),
            field("settings.*", Object, "one setting"),
            field("settings.*.key", MaybeStr, "its name in the file; null: a variable only"),
            field("settings.*.value", Str, "what holds"),
            field("settings.*.origin", Str, "default, file or environment"),
            field("settings.*.line", MaybeInt, "the line, where it is from the file"),
            field("settings.*.default", Str, "what holds when nothing is set"),
            field("settings.*.allowed", Str, "what is understood"),
            field("settings.*.meaning", Str, "what it is for"),
            field("faults", Array, "what is set and makes no sense"),
            field("faults[]", Str, "one line"),
        ],
        run: Some(config::run),
        ..COMMAND
    },
    Command {
        name: "top",
        group: Looking,
        summary: "watch compiles as they happen",
        about: "q or Ctrl-C ends it. With --json pictures are printed one after the other; where \
                stdout is no terminal, one, as with --once. Exit status 1 from --once when no \
                daemon runs.",
        flags: &[
            switch("once", "print one picture and end"),
            valued("interval", "MS", Number, "milliseconds between two pictures, by default 500"),
            JSON,
        ],
        example: ("zccache top --once", "what is going on right now"),
        json: &[
            field("running", Bool, "false, and nothing else: no daemon runs"),
            field("pid", Int, "the daemon's process"),
            field("uptime_s", Int, "seconds since it started"),
            field("compilations", Int, "hits, misses and non_cacheable"),
            field("hits", Int, "served from the cache"),
            field("misses", Int, "compiled"),
            field("non_cacheable", Int, "run as they are"),
            field("errors", Int, "compiles that failed"),
            field("time_saved_ns", Int, "compile time that hits did not spend"),
            field("under_way", Array, "commands that have not ended, at most 200"),
            field("under_way[]", Object, "one command"),
            field("under_way[].lane", Int, "its row of the timeline"),
            field("under_way[].state", Str, "asked, hit, compiling or plain"),
            field("under_way[].name", Str, "its source, or the command"),
            field("under_way[].for_ms", Int, "since it was asked about"),
            field("under_way_more", Int, "how many more there are"),
            field("recent", Array, "the latest that ended, the latest first"),
            field("recent[]", Object, "one command"),
            field("recent[].lane", Int, "its row of the timeline"),
            field("recent[].outcome", Str, "as in the journal"),
            field("recent[].name", Str, "its source, or the command"),
            field("recent[].latency_ns", Int, "how long it took"),
            field("recent[].saved_ns", Int, "compile time it did not spend"),
            field("recent[].reason", MaybeStr, "why it was no hit"),
        ],
        run: Some(top::run),
        ..COMMAND
    },
    Command {
        name: "report",
        group: Looking,
        summary: "make a web page of a build from its journal",
        about: "One file that loads nothing: a timeline by lane, hits and misses, causes. With \
                --trace alone only the trace is made, for Perfetto or chrome://tracing.",
        words: words("JOURNAL", 1, 1, File),
        flags: &[
            Flag {
                short: Some('o'),
                ..valued(
                    "output",
                    "FILE",
                    File,
                    "the page, by default zccache-report.html; - is stdout",
                )
            },
            valued("trace", "FILE", File, "the same as trace event JSON"),
        ],
        example: ("zccache report build.jsonl -o build.html", "then open it in a browser"),
        run: Some(report::run),
        ..COMMAND
    },
    Command {
        name: "analyze",
        group: Looking,
        summary: "sum up a journal in words",
        words: words("JOURNAL", 1, 1, File),
        flags: &[JSON],
        example: (
            "zccache analyze ~/.zccache/logs/compile_journal.jsonl",
            "all that was done lately",
        ),
        json: &[
            field("commands", Int, "lines that make sense"),
            field("hits", Int, "served from the cache"),
            field("misses", Int, "compiled, the failed ones included"),
            field("non_cacheable", Int, "run as they are"),
            field("errors", Int, "compiles that failed"),
            field("hit_rate", Float, "hits in a hundred of hits and misses"),
            field("compile_ns", Int, "time that compilers ran"),
            field("time_saved_ns", Int, "compile time that hits did not spend"),
            field("wall_ns", Int, "from the first start to the last end"),
            field("bytes", Int, "outputs that came from the store or went into it"),
            field("builds", Int, "groups of commands with long pauses between them"),
            field("causes", Array, "why it was compiled, the most frequent first"),
            field("causes[]", Object, "one cause"),
            field("causes[].reason", Str, "its name"),
            field("causes[].subject", Str, "what differed"),
            field("causes[].count", Int, "commands it struck"),
            field("causes[].of", Int, "out of so many"),
            field("slowest_misses", Array, "the slowest first"),
            field("slowest_misses[]", Object, "one command"),
            field("slowest_misses[].name", Str, "its source"),
            field("slowest_misses[].latency_ns", Int, "how long it took"),
            field("slowest_misses[].reason", MaybeStr, "why it was compiled"),
            field("skipped", Int, "lines that make no sense"),
        ],
        run: Some(report::analyze),
        ..COMMAND
    },
    Command {
        name: "doctor",
        group: Looking,
        summary: "look for trouble, and mend it",
        flags: &[switch("repair", "stop the daemon and mend what is wrong"), JSON],
        about: "Exit 1 when something is wrong and stays so.",
        example: ("zccache doctor --repair", "mend the cache"),
        json: &[
            field("root", Str, "the cache folder"),
            field("daemon", Int, "the daemon's process; null when none answers"),
            field("blobs", Int, "blobs in the store"),
            field("blob_bytes", Int, "their size"),
            field("damaged_blobs", Int, "blobs whose content is not what their name says"),
            field("results", Int, "results in the index"),
            field("index_checked", Bool, "whether the index was looked at"),
            field("problems[].part", Str, "what is wrong: root, socket, index, blobs and so on"),
            field("problems[].what", Str, "in words"),
            field("problems[].advice", Str, "what to do"),
            field("problems[].repaired", Bool, "it is mended now"),
            field("sound", Bool, "nothing is wrong any more"),
        ],
        run: Some(doctor::run),
        ..COMMAND
    },
    Command {
        name: "crashes",
        group: Looking,
        summary: "crash reports of past daemons",
        flags: &[switch("clear", "remove them"), JSON],
        example: ("zccache crashes", "what went wrong, if something did"),
        json: &[
            field("[]", Object, "one report"),
            field("[].path", Str, "its file"),
            field("[].text", Str, "what it says"),
            field("removed[]", Int, "with --clear, instead: how many were removed"),
        ],
        run: Some(crashes::run),
        ..COMMAND
    },
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
    FP,
    // `zccache-fp`, by that name only.
    Command { name: "fp-alone", group: Hidden, run: Some(fp::run_alone), ..FP },
    Command {
        name: "watch",
        group: Tools,
        summary: "print files as they are created, changed, removed",
        about: "One line for each file, or one JSON object for each batch. Says on stderr when it \
                is ready. Globs are as .gitignore has them; links are not followed.",
        flags: &[
            valued("root", "DIR", Folder, "a folder to watch, by default .; may be repeated"),
            valued("include", "GLOB", Text, "only such files; may be repeated"),
            valued("exclude", "GLOB", Text, "no such files; may be repeated"),
            valued("debounce", "SECS", Text, "silence before a batch is told, by default 50ms"),
            valued("poll", "SECS", Text, "look so often instead of being told"),
            JSON,
        ],
        example: ("zccache watch --root src --include '*.cpp' --json", "follow the sources"),
        json: &[
            field("created", Array, "files that were not there before"),
            field("created[]", Str, "a path, beginning with the root as given"),
            field("changed", Array, "files that were written to, or whose modes changed"),
            field("changed[]", Str, "a path"),
            field("removed", Array, "files that are gone"),
            field("removed[]", Str, "a path"),
            field("overflow", Bool, "events were lost, and everything was looked at again"),
        ],
        run: Some(watch::run),
        ..COMMAND
    },
    Command {
        name: "download",
        group: Tools,
        summary: "download a file, in parts and checked",
        about: "Prints where it is and its SHA-256. What is there already is not fetched again; without a \
                --sha256 the server is asked whether it has changed. Everybody who wants the same shares one \
                download, and one that was cut off goes on where it ended.",
        words: words("[URL]", 0, 1, Text),
        flags: &[
            valued("url", "URL", Text, "what to download"),
            valued("part-url", "URL", Text, "beside a URL a mirror; alone one part, in order"),
            valued("output", "FILE", File, "where to; else a place in the cache root"),
            valued("unarchive", "DIR", Folder, "unpack it there"),
            ARCHIVE_FORMAT,
            valued("sha256", "HEX", Text, "what it must be"),
            valued("multipart-parts", "N", Number, "how many parts"),
            MAX_CONNECTIONS,
            MIN_SEGMENT,
            switch("no-wait", "do not wait for the end"),
            switch("dry-run", "only say what would happen"),
            switch("force", "even if it is there"),
            JSON,
        ],
        example: (
            "zccache download https://example.com/t.tar.zst --unarchive t",
            "a toolchain, once for everybody",
        ),
        json: FETCHED,
        run: Some(download::run),
        ..COMMAND
    },
    // `zccache-download`, by that name only.
    Command {
        name: "downloader",
        summary: "downloads, and the daemon that does them",
        flags: &[
            JSON,
            valued("endpoint", "SOCK", File, "the daemon's socket"),
            // Ours: be the daemon; say when it listens, and let go of the starter.
            switch("foreground", ""),
            switch("detached", ""),
        ],
        subs: &[
            Command {
                name: "daemon",
                summary: "start, stop or ask the daemon",
                words: words(
                    "start|stop|status",
                    1,
                    1,
                    OneOf(&["start", "stop", "status", "serve"]),
                ),
                run: Some(downloader::daemon),
                ..COMMAND
            },
            Command {
                name: "fetch",
                summary: "download a file and unpack it, and wait",
                words: words("URL DEST", 2, 2, Text),
                flags: FETCH_FLAGS,
                json: FETCHED,
                run: Some(downloader::fetch),
                ..COMMAND
            },
            Command {
                name: "exists",
                summary: "whether it is there; status 1 when not",
                words: words("URL DEST", 2, 2, Text),
                flags: FETCH_FLAGS,
                run: Some(downloader::exists),
                ..COMMAND
            },
            Command {
                name: "get",
                summary: "begin a download, or join it, and give its ID",
                words: words("URL DEST", 2, 2, Text),
                flags: FETCH_FLAGS,
                run: Some(downloader::get),
                ..COMMAND
            },
            Command {
                name: "wait",
                summary: "wait for a download",
                words: ID,
                flags: &[valued("timeout", "MS", Number, "no longer than so many milliseconds")],
                run: Some(downloader::wait),
                ..COMMAND
            },
            Command {
                name: "status",
                summary: "how far a download is",
                words: ID,
                run: Some(downloader::status),
                ..COMMAND
            },
            Command {
                name: "cancel",
                summary: "end a download for everybody",
                words: ID,
                run: Some(downloader::cancel),
                ..COMMAND
            },
        ],
        example: ("zccache-download daemon status", "what is being downloaded"),
        json: DOWNLOAD,
        run: Some(downloader::run),
        ..COMMAND
    },
    Command {
        name: "ino",
        group: Tools,
        summary: "make C++ of an Arduino sketch",
        about: "Adds prototypes, #include <Arduino.h>, and #line, so that messages name the sketch. \
                Needs clang.",
        flags: &[
            valued("input", "SKETCH", File, "the sketch, or a folder of .ino files"),
            valued("output", "FILE", File, "the C++ file, by default stdout"),
            valued("clang-arg", "ARG", Text, "for clang, like -I; may be repeated"),
            switch("no-arduino-include", "do not include Arduino.h"),
        ],
        example: ("zccache ino --input Blink.ino --output Blink.ino.cpp", "then compile that"),
        run: Some(ino::run),
        ..COMMAND
    },
    Command {
        name: "gha-cache",
        group: Tools,
        summary: "the cache of GitHub Actions",
        flags: &[
            valued("key", "K", Text, "the entry's name"),
            valued("path", "P", File, "what to keep; may be repeated"),
            JSON,
        ],
        subs: &[
            Command { name: "status", summary: "whether there is one", ..COMMAND },
            Command { name: "save", summary: "store", ..COMMAND },
            Command { name: "restore", summary: "fetch", ..COMMAND },
        ],
        ..COMMAND
    },
    Command {
        name: "cargo-registry",
        group: Tools,
        summary: "keep cargo's registry as an archive",
        flags: &[
            valued("key", "K", Text, "the archive's name"),
            valued("cargo-home", "DIR", Folder, "cargo's folder"),
            valued("lockfile", "FILE", File, "Cargo.lock"),
            JSON,
        ],
        subs: &[
            Command { name: "save", summary: "store", ..COMMAND },
            Command { name: "restore", summary: "put back", ..COMMAND },
            Command { name: "hash", summary: "print the key", ..COMMAND },
            Command { name: "clean", summary: "remove old archives", ..COMMAND },
        ],
        ..COMMAND
    },
    Command {
        name: "warm",
        group: Tools,
        summary: "fill target/ from the store",
        flags: &[
            valued("target-dir", "DIR", Folder, "cargo's target folder"),
            valued("profile", "P", Text, "cargo's profile"),
            JSON,
        ],
        ..COMMAND
    },
    Command {
        name: "snapshot-bytes",
        group: Tools,
        summary: "the size of a target folder's snapshot",
        words: words("DIR", 1, 1, Folder),
        flags: &[JSON],
        ..COMMAND
    },
    Command {
        name: "completions",
        group: Shell,
        summary: "print completions for bash, zsh or fish",
        about: "For zsh, put the file into a folder of $fpath, under the name _zccache.",
        words: words("SHELL", 1, 1, OneOf(&["bash", "zsh", "fish"])),
        example: ("source <(zccache completions bash)", "in ~/.bashrc"),
        run: Some(completions::run),
        ..COMMAND
    },
    Command {
        name: "man",
        group: Shell,
        summary: "print the manual page, as roff",
        example: ("zccache man | man -l -", "read it"),
        run: Some(man::run),
        ..COMMAND
    },
    Command {
        name: "--version",
        aliases: &["-V"],
        summary: "print the version",
        example: ("zccache --version", "which one is it"),
        run: Some(version),
        ..COMMAND
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().flat_map(|command| std::iter::once(command).chain(command.subs))
    }

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        for command in COMMANDS {
            for name in std::iter::once(&command.name).chain(command.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
        }
        for command in all() {
            let mut seen = HashSet::from(["help"]);
            let of_subs = command.subs.first().map_or(&[][..], |sub| sub.flags);
            for flag in command.flags.iter().chain(of_subs) {
                assert!(seen.insert(flag.long), "{} --{} twice", command.name, flag.long);
            }
        }
    }

    #[test]
    fn what_is_built_is_described() {
        for command in COMMANDS.iter().filter(|command| command.run.is_some()) {
            let name = command.name;
            assert!(!command.summary.is_empty(), "{name} has no summary");
            assert!(command.example.0.contains("zccache"), "{name} has no example");
            assert!(command.summary.len() <= 56, "{name}'s summary is too long for a screen");
            assert_eq!(
                command.flags.iter().any(|flag| flag.long == "json"),
                !command.json.is_empty() && command.name != "session-start",
                "{name}'s JSON is not documented"
            );
        }
    }
}
