//! Downloads, by `zccache download` and by `zccache-download`.

use super::{ID, words};
use crate::cli::table::*;
use crate::cli::table::{Group::*, Json::*, Kind::*};
use crate::cli::{download, downloader};
use crate::download::ArchiveFormat;

// What both ways to download take.
const MAX_CONNECTIONS: Flag = valued("max-connections", "N", Number, "how many at once, up to 32");
const MIN_SEGMENT: Flag = valued("min-segment-size", "N", Number, "no smaller parts, in bytes");
const ARCHIVE_FORMAT: Flag = valued(
    "archive-format",
    "F",
    OneOf(&ArchiveFormat::NAMES),
    "what to unpack it as; auto goes by its bytes",
);
const SHA256: Flag = valued("sha256", "HEX", Text, "what it must be");
const PARTS: Flag = valued("multipart-parts", "N", Number, "how many parts");
const NO_WAIT: Flag = switch("no-wait", "do not wait for the end");
const DRY_RUN: Flag = switch("dry-run", "only say what would happen");
const FORCE: Flag = switch("force", "even if it is there");

/// What `zccache-download` takes with a URL.
const FETCH_FLAGS: &[Flag] = &[
    valued("part-url", "URL", Text, "a mirror; may be repeated"),
    valued("expanded", "DIR", Folder, "unpack it there"),
    ARCHIVE_FORMAT,
    SHA256,
    PARTS,
    MAX_CONNECTIONS,
    MIN_SEGMENT,
    NO_WAIT,
    DRY_RUN,
    FORCE,
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

pub const COMMANDS: &[Command] = &[
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
            SHA256,
            PARTS,
            MAX_CONNECTIONS,
            MIN_SEGMENT,
            NO_WAIT,
            DRY_RUN,
            FORCE,
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
];
