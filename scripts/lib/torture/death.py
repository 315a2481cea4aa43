"""Daemons that die, stop, or are replaced."""

import os
import random
import shutil
import subprocess
import time

from torture.ground import CONT, KILL, STOP, TERM, Meanwhile


def kills(ground):
    """kill -9 at random moments of a parallel build."""
    row = ground.row("daemon killed in a build")
    jobs, edit = ground.project(12)
    wanted = max(1, round(1000 * ground.scale))
    with Meanwhile(random.Random(ground.random.random()), 0.1, lambda: ground.signal(KILL)) as killer:
        while killer.done < wanted:
            edit()
            ground.many(row, jobs())
    row.rounds = killer.done
    ground.works(row)


def terms(ground):
    """SIGTERM and `stop` at random moments."""
    row = ground.row("daemon told to end in a build")
    jobs, edit = ground.project(12)
    dice = random.Random(ground.random.random())

    def end():
        if dice.random() < 0.5:
            return ground.signal(TERM)
        return ground.zccache("stop").status == 0

    with Meanwhile(dice, 0.3, end) as ender:
        for _ in ground.rounds(row, 40):
            edit()
            ground.many(row, jobs())
    row.rounds = ender.done
    ground.works(row)


def stops(ground):
    """SIGSTOP at a random moment: nobody waits for long."""
    row = ground.row("daemon stopped in a build")
    jobs, edit = ground.project(8)
    for _ in ground.rounds(row, 12):
        edit()
        with Meanwhile(random.Random(ground.random.random()), 0.1, lambda: ground.signal(STOP)):
            ground.many(row, jobs(), 8)
        ground.signal(CONT)
        ground.many(row, jobs(), 8)
    ground.works(row)


def wrappers(ground):
    """Wrappers killed in the middle: that call fails as a killed compiler does, and leaves nothing wrong."""
    row = ground.row("wrapper killed")
    jobs, edit = ground.project(3, filler=80_000)
    for _ in ground.rounds(row, 300):
        if ground.random.random() < 0.5:
            edit()
        words, out, state = ground.random.choice(jobs())
        child = subprocess.Popen([ground.lab.zccache, *words], cwd=ground.work, env=ground.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(ground.random.uniform(0, 0.06))
        child.kill()
        child.wait()
        # What was cut off may lie about, as the compiler's would.
        ground.compile(row, words, out, state, remove=False)
    ground.works(row)


def starts(ground):
    """Many daemons started at once for one root: one stays."""
    row = ground.row("daemons racing for one root")
    jobs, edit = ground.project(4)
    for _ in ground.rounds(row, 40):
        words = [ground.lab.zccache, "daemon", "--foreground", "--idle-timeout", "60"]
        racers = [subprocess.Popen(words, env=ground.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        edit()
        ground.many(row, jobs())
        deadline = time.monotonic() + 10
        while sum(racer.poll() is None for racer in racers) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        alive = len(ground.lab.daemons())
        if alive != 1:
            row.count(0, 1, 0.0, f"{alive} daemons")
        ground.zccache("stop") if ground.random.random() < 0.5 else ground.signal(KILL)
        for racer in racers:
            racer.wait()


def leftovers(ground):
    """Sockets and locks of the dead, with numbers of processes that are somebody else's by now."""
    row = ground.row("stale socket and locks")
    jobs, edit = ground.project(2)
    for _ in ground.rounds(row, 40):
        edit()
        ground.many(row, jobs())
        ground.signal(KILL)
        for name in ("daemon.lock", "start.lock"):
            (ground.lab.root / name).write_text(f"{os.getpid()}\n")
        if ground.random.random() < 0.3:
            (ground.lab.root / "daemon.sock").unlink(missing_ok=True)
            (ground.lab.root / "daemon.sock").write_text("")
    ground.works(row)


def replaced(ground):
    """The binary is replaced by one of another build in the middle of a build, and back."""
    row = ground.row("binary replaced in a build")
    if not ground.other:
        row.skipped = "needs --other"
        return
    jobs, edit = ground.project(10)
    binaries = [str(ground.lab.binary), shutil.which(ground.other)]
    link = ground.lab.bin / "zccache"
    dice = random.Random(ground.random.random())

    def swap():
        temp = link.with_name("next")
        temp.symlink_to(dice.choice(binaries))
        temp.rename(link)
        return True

    with Meanwhile(dice, 0.4, swap) as swapper:
        for _ in ground.rounds(row, 60):
            edit()
            ground.many(row, jobs())
    row.rounds = swapper.done
    link.unlink()
    link.symlink_to(binaries[0])
    ground.works(row)


def hangs(ground):
    """An index whose calls never come back, from a random one on: nobody waits for it for long."""
    row = ground.row("index hangs")
    jobs, edit = ground.project(4)
    for _ in ground.rounds(row, 8):
        ground.zccache("stop")
        env = dict(ground.env)
        ground.env["ZCCACHE_FAULT"] = f"index.call:sleep=3600000:{ground.random.randrange(1, 60)}"
        # Those that are started in between have it as well: until the order is gone.
        for _ in range(6):
            edit()
            ground.many(row, jobs())
        ground.env = env
        ground.signal(KILL)
        ground.many(row, jobs())
    ground.works(row)


FAULTS = [kills, terms, stops, wrappers, starts, leftovers, replaced, hangs]
