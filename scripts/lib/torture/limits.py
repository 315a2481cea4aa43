"""Limits of the system used up."""

import os
import random
import resource
import socket
import subprocess
import time

from torture.ground import CONT, STOP, Meanwhile
from torture.races import inputs

STORM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    char name[4096];
    for (long i = 0; i < atol(words[2]); i++) {
        snprintf(name, sizeof name, "%s/storm%ld", words[1], i % 64);
        close(open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600));
        unlink(name);
    }
}
"""


def storm(ground):
    """A million events in a watched folder: the queue overflows, and what is edited meanwhile still counts."""
    row = ground.row("events: a storm, the queue overflows")
    jobs, edit = ground.project(4)
    program = ground.lab.folder / "storm"
    subprocess.run(["gcc", "-O1", "-w", "-x", "c", "-", "-o", program], input=STORM.encode(), check=True)
    ground.many(row, jobs())
    # Four events for each file.
    events, share = 1_000_000, 25
    for number in ground.rounds(row, share):
        count = events // share // 4
        blind = number % 2 == 0
        if blind:
            # It can't drain: the queue overflows for certain.
            ground.signal(STOP)
        blower = subprocess.Popen([program, str(ground.work / "inc"), str(count)])
        edit()
        if blind:
            blower.wait()
            edit()
            ground.signal(CONT)
        else:
            ground.many(row, jobs())
            edit()
        ground.many(row, jobs())
        blower.wait()
        ground.many(row, jobs())
    ground.works(row)


def in_user_namespace(ground, row, limits):
    """From now on everything through the cache, daemon included, has these limits of inotify."""
    sets = "; ".join(f"echo {value} > /proc/sys/user/{name}" for name, value in limits.items())
    holder = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "sh", "-c", f"{sets}; echo ready; exec sleep 100000"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if holder.stdout.readline() != b"ready\n":
        row.skipped = "skipped: no user namespaces"
        holder.kill()
        return None
    ground.prefix = ("nsenter", "--user", "--preserve-credentials", "-t", str(holder.pid))
    return holder


def leave_namespace(ground, holder):
    ground.zccache("stop")
    ground.prefix = ()
    holder.kill()
    holder.wait()


def no_watches(ground):
    """No inotify instance at all, then too few watches: files are checked with stat, and the answers stay the same."""
    for name, limits in (("no inotify instances", {"max_inotify_instances": 0}),
                         ("few inotify watches", {"max_inotify_watches": 6})):
        probe = ground.row(name)
        holder = in_user_namespace(ground, probe, limits)
        if not holder:
            continue
        ground.rows.remove(probe)
        try:
            inputs(ground, 300, name)
        finally:
            leave_namespace(ground, holder)


def descriptors(ground):
    """Few descriptors, in clients and in the daemon that they start."""
    row = ground.row("few descriptors")
    jobs, edit = ground.project(6)
    for _ in ground.rounds(row, 40):
        limit = ground.random.choice([8, 12, 16, 20, 24, 32, 48])
        ground.prefix = ("prlimit", f"--nofile={limit}:{limit}")
        edit()
        ground.many(row, jobs())
        ground.many(row, jobs())
        if ground.random.random() < 0.5:
            ground.zccache("stop")
    ground.zccache("stop")
    ground.prefix = ()
    ground.zccache("stop")
    ground.works(row)


def connections(ground):
    """10,000 connections that say nothing, or a byte now and then."""
    row = ground.row("10,000 connections")
    jobs, edit = ground.project(4)
    ground.many(row, jobs())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    try:
        for _ in ground.rounds(row, 10_000):
            try:
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(5)
                client.connect(str(ground.lab.root / "daemon.sock"))
                held.append(client)
            except OSError as error:
                row.notes.append(f"after {len(held)}: {error}")
                break
            if len(held) % 2500 == 0:
                edit()
                ground.many(row, jobs())
        for _ in range(5):
            for client in held[::7]:
                try:
                    client.send(b"Z")
                except OSError:
                    pass
            edit()
            ground.many(row, jobs())
    finally:
        for client in held:
            client.close()
    ground.works(row)


def full_queue(ground):
    """A stopped daemon whose queue of connections is full: nobody can even connect."""
    row = ground.row("stopped daemon, full queue")
    jobs, _ = ground.project(2)
    for _ in ground.rounds(row, 3):
        ground.many(row, jobs())
        ground.signal(STOP)
        held = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            held.append(client)
            try:
                client.connect(str(ground.lab.root / "daemon.sock"))
            except OSError:
                break
        ground.many(row, jobs())
        ground.signal(CONT)
        for client in held:
            client.close()
    ground.works(row)


def arguments(ground):
    """Arguments and environments up to the kernel's limit, paths up to theirs, names of any bytes."""
    row = ground.row("long arguments, environments, paths")
    ground.write("a.c", "int a = A;\n")
    env = ground.env
    for _ in ground.rounds(row, 60):
        kind = ground.random.choice(["argv", "env", "both", "path", "bytes"])
        words, ground.env = ["gcc", "-DA=1"], dict(env)
        room = 1_700_000 if kind != "both" else 900_000
        if kind in ("argv", "both"):
            # gcc hands all arguments to its parts in one variable: more than 128 KiB of them fail.
            whole = ground.random.choice([90_000, room])
            size = ground.random.randrange(1000, 80_000)
            words += [f"-DX{n}={'x' * size}" for n in range(whole // size)]
        if kind in ("env", "both"):
            size = ground.random.randrange(1000, 120_000)
            ground.env.update({f"X{n}": "y" * size for n in range(room // size)})
        source = "a.c"
        if kind == "path":
            length = ground.random.choice([1000, 3000, 4000, 4090 - len(str(ground.work))])
            folders = "/".join(["d" * 200] * (length // 201)) + "/" + "e" * (length % 201 + 1)
            # The tree is made step by step: its name is too long for one call.
            here = os.open(ground.work, os.O_RDONLY)
            for part in folders.split("/"):
                try:
                    os.mkdir(part, dir_fd=here)
                except FileExistsError:
                    pass
                below = os.open(part, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            file = os.open("a.c", os.O_WRONLY | os.O_CREAT, dir_fd=here)
            os.write(file, b"int a = A;\n")
            os.close(file)
            os.close(here)
            source = f"{folders}/a.c"
        elif kind == "bytes":
            source = os.fsdecode(bytes(ground.random.choice(range(0x80, 0x100)) for _ in range(20)) + b" \\'\".c")
            (ground.work / source).write_text("int a = A;\n")
        for _ in range(2):
            ground.compile(row, [*words, "-c", source, "-o", "a.o"], "a.o", None)
        ground.env = env
    ground.works(row)


def clocks(ground):
    """Files whose times jump back and forth, as they do where a clock does."""
    row = ground.row("times that jump")
    jobs, edit = ground.project(5)
    for _ in ground.rounds(row, 200):
        edit() if ground.random.random() < 0.7 else None
        for path in [*ground.work.rglob("*.[ch]"), *(ground.lab.root / "artifacts").glob("??/*")]:
            if ground.random.random() < 0.4:
                when = ground.random.choice([0, 1, time.time() - 3600, time.time(), time.time() + 3600, 2**32, 2**33])
                try:
                    os.utime(path, (when, when))
                except OSError:
                    pass
        if ground.random.random() < 0.1:
            ground.zccache("stop")
        ground.many(row, jobs())
    ground.works(row)


def crowded_disk(ground):
    """The build on one file system, the cache on another: no hard links between them."""
    row = ground.row("cache on another file system")
    if not ground.can_mount(row):
        return
    jobs, edit = ground.project(4, filler=600_000)
    dice = random.Random(ground.random.random())

    def mode():
        ground.env["ZCCACHE_LINK_MODE"] = dice.choice(["auto", "reflink", "hardlink", "copy"])

    with ground.cache_of_its_own("elsewhere"):
        with Meanwhile(dice, 0.2, mode):
            for _ in ground.rounds(row, 40):
                edit()
                ground.many(row, jobs())
                ground.many(row, jobs())
        ground.works(row)


def vfat(ground):
    without_links(ground, "vfat")


def exfat(ground):
    without_links(ground, "exfat")


def without_links(ground, kind):
    """Build tree and cache where there are no hard links, no modes, no sockets, and (exfat, by FUSE) no watch to rely on."""
    probe = ground.row(f"no hard links: {kind}")
    if not ground.can_mount(probe):
        return
    place = ground.mount_image(probe, kind, "umask=077")
    if not place:
        return
    ground.rows.remove(probe)
    usual = ground.work, dict(ground.env)
    ground.work = place / "work"
    ground.work.mkdir()
    # A socket can't be there: without another place for it there is no daemon, and no failure.
    for socket_at, name in ((None, "no socket"), (ground.lab.folder / f"{kind}.sock", "cache and tree")):
        ground.env = dict(usual[1], ZCCACHE_CACHE_DIR=str(place / "cache"))
        if socket_at:
            ground.env["ZCCACHE_ENDPOINT"] = str(socket_at)
            inputs(ground, 150, f"{kind}, {name}: inputs changed in a compile")
        row = ground.row(f"{kind}, {name}: builds")
        jobs, edit = ground.project(3, filler=600_000)
        for _ in ground.rounds(row, 20):
            edit()
            ground.env["ZCCACHE_LINK_MODE"] = ground.random.choice(["auto", "reflink", "hardlink", "copy"])
            ground.many(row, jobs())
            ground.many(row, jobs())
        if socket_at:
            ground.works(row)
        ground.zccache("stop")
    # The tree there, the cache elsewhere.
    ground.env = dict(usual[1])
    inputs(ground, 150, f"{kind}, tree only: inputs changed in a compile")
    ground.zccache("stop")
    ground.work = usual[0]
    ground.bare("umount", "-l", place)


FAULTS = [storm, no_watches, descriptors, connections, full_queue, arguments, clocks, crowded_disk, vfat, exfat]
