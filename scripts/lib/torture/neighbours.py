"""Other users, other roots, other mounts."""

import os
import shutil
import subprocess

from torture.ground import Ran, digest

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

# Listens where a daemon would, and keeps what it is told.
SQUATTER = r"""
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen(100)
print("ready", flush=True)
while True:
    client = listener.accept()[0]
    client.settimeout(3)
    try:
        print(len(client.recv(100000)), flush=True)
        client.sendall(b"ZCC\x01" + bytes(28))
    except OSError:
        print(0, flush=True)
    client.close()
"""


def need_root(row):
    if os.geteuid() != 0:
        row.skipped = "skipped: needs root"
    return os.geteuid() == 0


def squatters(ground):
    """Another user has put a socket, a folder or a symlink where ours will be."""
    row = ground.row("socket, folder, symlink planted by another user")
    if not need_root(row):
        return
    os.chmod(ground.lab.folder, 0o755)
    jobs, edit = ground.project(2)
    script = ground.lab.folder / "squatter.py"
    script.write_text(SQUATTER)
    for number in ground.rounds(row, 40):
        shared = ground.lab.folder / f"shared{number}"
        shared.mkdir()
        shared.chmod(0o1777)
        root = shared / "zc"
        kind = ground.random.choice(["folder", "open folder", "symlink", "file", "socket"])
        other = ground.lab.folder / f"theirs{number}"
        other.mkdir()
        squatter = None
        if kind == "symlink":
            # To a folder of our own, which is then taken over.
            (shared / "own").mkdir()
            subprocess.run([*AS_NOBODY, "ln", "-s", shared / "own", root], check=True)
        elif kind == "file":
            subprocess.run([*AS_NOBODY, "touch", root], check=True)
        else:
            subprocess.run([*AS_NOBODY, "mkdir", "-m", "777" if kind == "open folder" else "755", root], check=True)
            if kind == "socket":
                squatter = subprocess.Popen([*AS_NOBODY, "python3", script, root / "daemon.sock"], stdout=subprocess.PIPE, text=True)
                squatter.stdout.readline()
        ground.env["ZCCACHE_CACHE_DIR"] = str(root)
        edit()
        ground.many(row, jobs())
        ground.many(row, jobs())
        if squatter:
            squatter.kill()
            told = [line.strip() for line in squatter.communicate()[0].splitlines()]
            if any(line not in ("0", "") for line in told):
                row.count(0, 1, 0.0, f"another user's socket was told {told} bytes")
        ours = [path for path in root.rglob("*") if path.lstat().st_uid == 0] if root.is_dir() else []
        if ours:
            row.count(0, 1, 0.0, f"{kind}: {ours[0]} was made in another's place")
    ground.env["ZCCACHE_CACHE_DIR"] = str(ground.lab.root)
    ground.works(row)


def readers(ground):
    """Another user can neither read the cache nor connect, whatever the umask."""
    row = ground.row("another user reads or connects")
    if not need_root(row):
        return
    os.chmod(ground.lab.folder, 0o755)
    jobs, edit = ground.project(4, filler=60_000)
    for _ in ground.rounds(row, 20):
        edit()
        os.umask(ground.random.choice([0, 0o022, 0o002]))
        ground.many(row, jobs())
        paths = [ground.lab.root, *ground.lab.root.rglob("*")]
        seen = subprocess.run([*AS_NOBODY, "sh", "-c", 'for f; do ls -d "$f" && cat "$f"; done', "sh", *paths],
                              capture_output=True)
        got = [line for line in seen.stdout.splitlines() if line != os.fsencode(ground.lab.root)]
        if got:
            row.count(0, 1, 0.0, f"another user reads {got[0]!r}")
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(ground.lab.root / 'daemon.sock')!r})"
        if subprocess.run([*AS_NOBODY, "python3", "-c", code], capture_output=True).returncode == 0:
            row.count(0, 1, 0.0, "another user connects")
        ground.zccache("stop") if ground.random.random() < 0.3 else None
    os.umask(0o022)


def other_homes(ground):
    """root builds with the home of another user, and another user with root's."""
    row = ground.row("root with another's home")
    if not need_root(row):
        return
    os.chmod(ground.lab.folder, 0o755)
    home = ground.lab.folder / "theirs"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    jobs, edit = ground.project(2)
    env = ground.env
    root = env["ZCCACHE_CACHE_DIR"]
    binary = ground.lab.folder / "zccache"
    shutil.copy(ground.lab.binary, binary)
    for number in ground.rounds(row, 20):
        ground.env = {name: value for name, value in env.items() if name != "ZCCACHE_CACHE_DIR"}
        ground.env["HOME"] = str(home)
        # Sometimes the other user has a daemon there already.
        if number % 2:
            theirs = {**ground.env, "TMPDIR": "/tmp"}
            Ran([*AS_NOBODY, binary, "start"], "/tmp", theirs)
        edit()
        ground.many(row, jobs())
        ground.many(row, jobs())
        Ran([*AS_NOBODY, binary, "stop"], "/tmp", ground.env)
        if number % 2 == 0 and (home / ".zccache").exists():
            ground.zccache("stop")
            shutil.rmtree(home / ".zccache")
    ground.env = env
    env["ZCCACHE_CACHE_DIR"] = root
    ground.works(row)


def mounts(ground):
    """File systems mounted over an include folder between two compiles."""
    row = ground.row("mounts over an include folder")
    if not ground.can_mount(row):
        return
    ground.write("a.c", '#include "x.h"\nint a = X;\n')
    for number in range(3):
        ground.write(f"inc{number}/x.h", f"#define X {number}\n")
    (ground.work / "inc").mkdir()
    ground.write("inc/x.h", "#define X 9\n")
    words = ["gcc", "-Iinc", "-c", "a.c", "-o", "a.o"]
    stack = []
    for _ in ground.rounds(row, 300):
        if stack and ground.random.random() < 0.4:
            ground.bare("umount", "inc")
            stack.pop()
        elif len(stack) < 5:
            number = ground.random.randrange(3)
            ground.bare("mount", "--bind", f"inc{number}", "inc")
            stack.append(number)
        for _ in range(2):
            ground.compile(row, words, "a.o", None)
    for _ in stack:
        ground.bare("umount", "inc")
    ground.works(row)


def containers(ground):
    """Clients with another root or other mounts share the socket, and see other files under the same names."""
    row = ground.row("clients in another root or mount namespace")
    if not ground.can_mount(row):
        return
    ground.write("a.c", '#include "x.h"\nint a = X;\n')
    ground.write("inc/x.h", "#define X 1\n")
    ground.write("other/x.h", "#define X 2\n")
    (ground.work / "root").mkdir()
    words = ["gcc", "-Iinc", "-c", "a.c", "-o", "a.o"]
    inner = f"{ground.lab.zccache} gcc -Iinc -c a.c -o in.o && gcc -Iinc -c a.c -o in-truth.o"
    scripts = [
        f"mount --bind other inc; {inner}",
        f"mount --rbind / root; mount --bind other root$PWD/inc; chroot root sh -ec 'cd '$PWD'; {inner}'",
    ]
    for _ in ground.rounds(row, 60):
        ground.compile(row, words, "a.o", 1)
        script = ground.random.choice(scripts)
        ran = Ran(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script], ground.work, ground.env)
        made = [digest((ground.work / name).read_bytes()) for name in ("in.o", "in-truth.o")]
        row.count(made[0] != made[1], ran.status != 0, 0.0, f"{script}: {ran.err!r}")
        ground.compile(row, words, "a.o", 1)
    ground.works(row)


def secrets(ground):
    """No value of the environment is in any file of the cache."""
    row = ground.row("secrets of the environment in files")
    secret = f"hush-{ground.random.getrandbits(64):x}"
    jobs, edit = ground.project(3)
    for _ in ground.rounds(row, 20):
        ground.env.update(API_TOKEN=secret, ZCCACHE_LOG="trace", CPATH_SECRET=f"/{secret}", CARGO_REGISTRY_TOKEN=secret)
        edit()
        ground.many(row, jobs())
        ground.write("bad.c", "int a = missing;\n")
        ground.compile(row, ["gcc", "-c", "bad.c", "-o", "bad.o"], "bad.o", "bad")
        ground.zccache("stop")
        for path in ground.lab.root.rglob("*"):
            if path.is_file() and secret.encode() in path.read_bytes():
                row.count(0, 1, 0.0, f"{path} holds a secret")
    ground.works(row)


FAULTS = [squatters, readers, other_homes, mounts, containers, secrets]
