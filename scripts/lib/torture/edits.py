"""A walk through the states of a random project: edits in every way we know, and after each some commands, whose
results must be what the bare compiler makes of that state."""

import random
import shutil
from collections import Counter

from lab import say
from torture import grown_c, grown_cargo, grown_headers, grown_links, grown_rust, grown_system, grown_tools, grown_ways
from torture.built import Built
from torture.checkouts import checkouts, rust_checkouts
from torture.crowds import crowds, linking_crowds
from torture.project import COMMANDS, Project


def walk(ground, name, kind, count, steps, made=Project):
    """Random projects of a kind under random edits; see `Project`."""
    row = ground.row(name)
    ran = succeeded = 0
    complaints = Counter()
    for number in ground.rounds(row, count):
        # A project of its own for each, so that it can be repeated alone.
        dice = random.Random(f"{ground.random.random()}")
        project = made(ground, dice, kind(dice), f"project{number}")
        for _ in range(steps):
            for _ in range(dice.randrange(1, 4)):
                project.judge(row, dice.randrange(COMMANDS))
            project.step()
        if not row.notes:
            shutil.rmtree(project.root)
        project.leave()
        ran, succeeded = ran + project.ran, succeeded + project.succeeded
        complaints += project.complaints
    counts, reasons = ground.lab.counts()
    say(f"{succeeded} of {ran} commands succeed; others: {dict(complaints.most_common(8))}")
    say(f"since the last restart: {counts}, {reasons}")
    ground.works(row)


def c(ground):
    walk(ground, "random edits of C projects", grown_c.Grower, 40, 60)


def rust(ground):
    # rustup finds its compilers through the home folder.
    homes = ground.lab.bare_env
    ground.env.update({name: homes[name] for name in ("CARGO_HOME", "RUSTUP_HOME")})
    walk(ground, "random edits of Rust crates", grown_rust.Grower, 20, 60)


def cargo(ground):
    homes = ground.lab.bare_env
    ground.env.update({name: homes[name] for name in ("CARGO_HOME", "RUSTUP_HOME")})
    ground.shares = {}
    walk(ground, "random edits of cargo workspaces", grown_cargo.Grower, 10, 30, Built)
    say(f"by cargo: {ground.shares}")


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


FAULTS = [c, rust, cargo, links, ways, headers, system, tools, checkouts, rust_checkouts, crowds, linking_crowds]
