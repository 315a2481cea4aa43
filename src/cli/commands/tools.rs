//! Tools beside the cache.

use super::words;
use crate::cli::table::*;
use crate::cli::table::{Group::*, Json::*, Kind::*};
use crate::cli::{fp, ino, watch};

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

pub const COMMANDS: &[Command] = &[
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
];
