"""A walk through the states of a random project: edits in every way we know, and after each some commands, whose
results must be what the bare compiler makes of that state."""

import random
import shutil

from lab import say
from torture import grown_c, grown_headers, grown_links, grown_rust, grown_system, grown_tools, grown_ways
from torture.checkouts import checkouts, rust_checkouts
from torture.crowds import crowds, linking_crowds
from torture.project import COMMANDS, Project


def walk(ground, name, kind, count, steps):
    """Random projects of a kind under random edits; see `Project`."""
    row = ground.row(name)
    for number in ground.rounds(row, count):
        # A project of its own for each, so that it can be repeated alone.
        dice = random.Random(f"{ground.random.random()}")
        project = Project(ground, dice, kind(dice), f"project{number}")
        for _ in range(steps):
            for _ in range(dice.randrange(1, 4)):
                project.judge(row, dice.randrange(COMMANDS))
            project.step()
        if not row.notes:
            shutil.rmtree(project.root)
    counts, reasons = ground.lab.counts()
    say(f"since the last restart: {counts}, {reasons}")
    ground.works(row)


def c(ground):
    walk(ground, "random edits of C projects", grown_c.Grower, 40, 60)


def rust(ground):
    # rustup finds its compilers through the home folder.
    homes = ground.lab.bare_env
    ground.env.update({name: homes[name] for name in ("CARGO_HOME", "RUSTUP_HOME")})
    walk(ground, "random edits of Rust crates", grown_rust.Grower, 20, 60)


def links(ground):
    walk(ground, "random edits of libraries", grown_links.Grower, 40, 60)


def ways(ground):
    walk(ground, "odd ways to call compilers", grown_ways.Grower, 40, 60)


def headers(ground):
    walk(ground, "random edits around precompiled headers", grown_headers.Grower, 30, 60)


def tools(ground):
    walk(ground, "random edits under tools that look", grown_tools.Grower, 20, 60)


def system(ground):
    walk(ground, "random edits of system headers behind links", grown_system.Grower, 20, 60)


FAULTS = [c, rust, links, ways, headers, system, tools, checkouts, rust_checkouts, crowds, linking_crowds]
