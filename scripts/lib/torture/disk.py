"""What can happen to the cache's files."""

import os
import random
import shutil
import time

from torture.ground import KILL, Meanwhile


def blobs_of(ground):
    return [path for path in (ground.lab.root / "artifacts").glob("??/*")]


def damage(dice, path, others):
    """One of the things that can happen to a file; says which. Never follows a symlink."""
    if path.is_symlink():
        path.unlink()
        return "symlink gone"
    kind = dice.choice(["flip", "flip", "flip", "flip and time", "cut", "longer", "zeros", "gone", "folder", "symlink", "swapped"])
    if path.is_dir():
        shutil.rmtree(path)
        return "folder gone"
    stat = path.lstat()
    if kind in ("gone", "folder", "symlink", "swapped"):
        path.unlink()
        if kind == "folder":
            (path / "in").mkdir(parents=True)
        elif kind == "symlink":
            path.symlink_to(dice.choice([*others, path.with_name("nowhere")]))
        elif kind == "swapped":
            shutil.copyfile(dice.choice(others), path) if others else None
        return kind
    os.chmod(path, 0o644)
    content = bytearray(path.read_bytes())
    if kind.startswith("flip") and content:
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    elif kind == "cut":
        del content[dice.randrange(len(content) + 1):]
    elif kind == "longer":
        content += dice.randbytes(dice.randrange(1, 5000))
    elif kind == "zeros":
        content = bytearray(len(content))
    with open(path, "r+b" if dice.random() < 0.7 else "wb") as file:
        file.write(content)
        file.truncate(len(content))
    if kind == "flip and time":
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return kind


def blobs(ground):
    """Blobs flipped, cut, removed, replaced: none is ever delivered."""
    row = ground.row("blobs damaged")
    jobs, _ = ground.project(6, filler=3000)
    # One that is delivered as a hard link.
    ground.write("big.c", "const char big[700000] = {1};\n")
    every = jobs() + [(["gcc", "-c", "big.c", "-o", "big.o"], "big.o", "big")]
    ground.many(row, every)
    for number in ground.rounds(row, 3000):
        all_blobs = blobs_of(ground)
        if all_blobs:
            victim = ground.random.choice(all_blobs)
            others = [path for path in all_blobs if path != victim and path.is_file() and not path.is_symlink()]
            damage(ground.random, victim, others)
        if ground.random.random() < 0.02:
            ground.signal(KILL)
        for job in ground.random.sample(every, 2):
            ground.compile(row, *job)
        if number % 50 == 0:
            ground.many(row, every)
    ground.works(row)


def index(ground):
    """The index damaged at random places, torn, cut: stopped, killed, or under a running daemon."""
    row = ground.row("index damaged")
    jobs, edit = ground.project(5)
    for _ in ground.rounds(row, 150):
        edit()
        ground.many(row, jobs())
        way = ground.random.choice(["stop", "kill", "running"])
        if way == "stop":
            ground.zccache("stop")
        elif way == "kill":
            ground.signal(KILL)
        files = [path for path in (ground.lab.root / "index.sled").rglob("*") if path.is_file()]
        for path in ground.random.sample(files, min(len(files), ground.random.randrange(1, 3))):
            size = path.stat().st_size
            with open(path, "r+b") as file:
                kind = ground.random.randrange(4)
                if kind == 0:
                    file.truncate(ground.random.randrange(size + 1))
                elif kind == 1:
                    file.seek(size)
                    file.write(ground.random.randbytes(ground.random.randrange(1, 5000)))
                else:
                    for _ in range(ground.random.randrange(1, 40)):
                        file.seek(ground.random.randrange(max(size, 1)))
                        file.write(ground.random.randbytes(ground.random.randrange(1, 30)))
        ground.many(row, jobs())
    ground.zccache("stop")
    ground.works(row)


def deleted(ground):
    """The cache's folder, or a part of it, deleted in the middle of a build."""
    row = ground.row("cache deleted in a build")
    jobs, edit = ground.project(8)
    dice = random.Random(ground.random.random())

    def delete():
        root = ground.lab.root
        part = dice.choice([root, root / "artifacts", root / "tmp", root / "index.sled", root / "daemon.sock"])
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        return True

    with Meanwhile(dice, 0.3, delete) as deleter:
        for _ in ground.rounds(row, 60):
            edit()
            ground.many(row, jobs())
    row.rounds = deleter.done
    # An index that hangs over this is given up after 20 s.
    ground.works(row, tries=80)
    deadline = time.monotonic() + 60
    while len(ground.lab.daemons()) > 1 and time.monotonic() < deadline:
        time.sleep(1)


def evictions(ground):
    """A store that is always too small, and a daemon killed in between."""
    row = ground.row("eviction under load, with kills")
    jobs, edit = ground.project(10, filler=20_000)
    ground.env["ZCCACHE_CACHE_SIZE"] = "120K"
    with Meanwhile(random.Random(ground.random.random()), 0.6, lambda: ground.signal(KILL)):
        for _ in ground.rounds(row, 60):
            edit()
            ground.many(row, jobs())
    del ground.env["ZCCACHE_CACHE_SIZE"]
    ground.signal(KILL)
    ground.works(row)


def doctor(ground):
    """What `doctor` finds wrong is wrong, and what it repairs is sound."""
    row = ground.row("doctor after damage")
    jobs, edit = ground.project(4)
    for _ in ground.rounds(row, 40):
        edit()
        ground.many(row, jobs())
        ground.signal(KILL)
        # One that is dying counts as running.
        deadline = time.monotonic() + 10
        while ground.lab.daemons() and time.monotonic() < deadline:
            time.sleep(0.02)
        all_blobs = blobs_of(ground)
        victim = ground.random.choice(all_blobs)
        before = victim.read_bytes()  # all are whole after the repair of the round before
        damage(ground.random, victim, [])
        harmed = victim.is_symlink() or not victim.is_file() or victim.read_bytes() != before
        if harmed and os.path.lexists(victim) and ground.zccache("doctor").status != 1:
            row.count(0, 1, 0.0, "doctor does not see a damaged blob")
        if ground.zccache("doctor", "--repair").status != 0 or ground.zccache("doctor").status != 0:
            row.count(0, 1, 0.0, "doctor does not repair: " + ground.zccache("doctor").out.decode())
        ground.many(row, jobs())
    ground.works(row)


def full(ground):
    """A file system with no room: from none at all to nearly enough."""
    row = ground.row("no space left")
    if not ground.can_mount(row):
        return
    jobs, edit = ground.project(6, filler=60_000)
    for _ in ground.rounds(row, 25):
        edit()
        size = ground.random.choice([64, 200, 400, 700, 1500, 4000])
        with ground.cache_of_its_own("full", f"size={size}k,mode=700"):
            ground.many(row, jobs())
            edit()
            ground.many(row, jobs())
            ground.many(row, jobs())
    ground.works(row)


def read_only(ground):
    """A cache folder that becomes read-only, and back."""
    row = ground.row("read-only cache")
    if not ground.can_mount(row):
        return
    jobs, edit = ground.project(4, filler=20_000)
    with ground.cache_of_its_own("ro") as root:
        for _ in ground.rounds(row, 20):
            edit()
            ground.many(row, jobs())
            # The kernel refuses while a daemon has its log open.
            ground.zccache("stop")
            deadline = time.monotonic() + 5
            while ground.bare("mount", "-o", "remount,ro", root).status != 0:
                if time.monotonic() > deadline:
                    row.notes.append("it could not be made read-only")
                    break
                time.sleep(0.05)
            ground.many(row, jobs())
            edit()
            ground.many(row, jobs())
            ground.bare("mount", "-o", "remount,rw", root)
        ground.works(row)


def quota(ground):
    """A quota used up, of bytes or of files, and raised again."""
    for kind in ("ext4", "btrfs"):
        row = ground.row(f"quota used up, {kind}")
        if not ground.can_mount(row):
            continue
        jobs, edit = ground.project(6, filler=60_000)
        root = ground.mount_image(row, kind, *(["usrquota"] if kind == "ext4" else []))
        if not root:
            continue
        if kind == "btrfs":
            ground.bare("btrfs", "quota", "enable", root)
        # root minds no quota unless it lacks a capability.
        ground.prefix = ("setpriv", "--bounding-set=-sys_resource")
        ground.env["ZCCACHE_CACHE_DIR"] = str(root / "cache")

        def limit(kib, files):
            if kind == "ext4":
                return ground.bare("setquota", "-u", "0", "0", str(kib), "0", str(files), root)
            ran = ground.bare("btrfs", "qgroup", "limit", f"{kib}k" if kib else "none", root)
            if b"quota exceeded" in ran.err.lower():
                # Nor can the limit be written down while it is exceeded.
                ground.zccache("stop")
                shutil.rmtree(root / "cache", ignore_errors=True)
                ground.bare("btrfs", "filesystem", "sync", root)
                ran = ground.bare("btrfs", "qgroup", "limit", f"{kib}k" if kib else "none", root)
            return ran

        refused = 0
        for _ in ground.rounds(row, 25):
            edit()
            limited = limit(ground.random.choice([300, 700, 1500, 4000]), ground.random.choice([0, 0, 20, 60]))
            if limited.status:
                row.skipped = f"skipped: no quota can be set: {limited.err.decode().strip()}"
                break
            ground.many(row, jobs())
            edit()
            ground.many(row, jobs())
            probe = ground.lab.folder / "probe"
            probe.write_bytes(bytes(5_000_000))
            copied = ground.bare(*ground.prefix, "cp", probe, root / "probe")
            refused += b"quota exceeded" in copied.err.lower()
            (root / "probe").unlink(missing_ok=True)
            if ground.random.random() < 0.5:
                ground.zccache("stop")
            ground.many(row, jobs())
            limit(0, 0)
            if ground.random.random() < 0.3:
                ground.zccache("stop")
                shutil.rmtree(root / "cache", ignore_errors=True)
        else:
            row.name += f" ({refused} times refused)"
            ground.zccache("stop")
            ground.works(row)
        ground.prefix = ()
        ground.zccache("stop")
        ground.env["ZCCACHE_CACHE_DIR"] = str(ground.lab.root)
        ground.bare("umount", "-l", root)


FAULTS = [blobs, index, deleted, evictions, doctor, full, read_only, quota]
