"""A system clock that is stepped, forth and back. Only in a machine of our own: everybody else has this one, too."""

import os
import random
import time

from torture.ground import KILL, Meanwhile
from torture.limits import in_user_namespace, leave_namespace
from torture.races import inputs

STEPS = [0.002, 0.02, 0.3, 2, 3, 60, 3600, 86_400, 400 * 86_400]


def is_ours(row):
    ours = "TORTURE_MACHINE" in os.environ
    if not ours:
        row.skipped = "skipped: needs --machine"
    return ours


def step(by):
    time.clock_settime(time.CLOCK_REALTIME, max(1e9, time.time() + by))


def steps(dice):
    """Steps at random moments."""
    return Meanwhile(dice, 1.0, lambda: step(dice.choice(STEPS) * dice.choice([-1, 1])) or True)


def builds(ground):
    """The clock stepped in the middle of builds, with daemons that end in between."""
    row = ground.row("clock stepped in a build")
    if not is_ours(row):
        return
    jobs, edit = ground.project(5)
    dice = random.Random(ground.random.random())
    with steps(dice) as stepper:
        for _ in ground.rounds(row, 150):
            edit() if ground.random.random() < 0.8 else None
            if ground.random.random() < 0.1:
                ground.zccache("stop") if ground.random.random() < 0.5 else ground.signal(KILL)
            ground.many(row, jobs(), 3)
    row.rounds = stepper.done
    ground.works(row)


def edits(ground):
    """Inputs changed in a compile while the clock is stepped, with and without a watch."""
    for limits, name in ((None, "clock stepped while inputs change"),
                         ({"max_inotify_instances": 0}, "clock stepped while inputs change, no inotify")):
        row = ground.row(name)
        if not is_ours(row):
            continue
        holder = in_user_namespace(ground, row, limits) if limits else None
        ground.rows.remove(row)
        dice = random.Random(ground.random.random())
        try:
            with steps(dice):
                inputs(ground, 200, name)
        finally:
            if holder:
                leave_namespace(ground, holder)


def same_moment(ground):
    """A file that is written in place, with the same length, at the same moment again, since the clock was set back."""
    for way in ("watched", "daemon ended meanwhile", "no inotify"):
        row = ground.row(f"the same moment again, {way}")
        if not is_ours(row):
            continue
        holder = in_user_namespace(ground, row, {"max_inotify_instances": 0}) if way == "no inotify" else None
        words = ["gcc", "-c", "x.c", "-o", "x.o"]
        begin, same = time.time() + 1000, 0
        path = ground.write("x.c", "int x = 0;\n")
        for number in ground.rounds(row, 40):
            if way == "daemon ended meanwhile":
                ground.zccache("stop")
            before = times(path)
            for _ in range(50):
                time.clock_settime(time.CLOCK_REALTIME, begin)
                with open(path, "r+b") as file:
                    file.write(f"int x = {number % 10};\n".encode())
                if times(path) == before:
                    same += 1
                    break
            if ground.random.random() < 0.5:
                ground.compile(row, words, "x.o", number % 10)
            # From here on the file is old enough to be known by its times.
            step(10)
            ground.compile(row, ["gcc", "-O1", *words[1:]], "x.o", f"O1 {number % 10}")
            ground.compile(row, words, "x.o", number % 10)
        row.name += f" ({same} had the same times)"
        ground.works(row)
        if holder:
            leave_namespace(ground, holder)


def times(path):
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ctime_ns


FAULTS = [builds, edits, same_moment]
