//! What a shell and its user want to know of the program.

use super::words;
use crate::cli::table::*;
use crate::cli::table::{Group::*, Kind::*};
use crate::cli::{completions, man, version};

pub const COMMANDS: &[Command] = &[
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
