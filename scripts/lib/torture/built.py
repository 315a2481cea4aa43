"""A random cargo workspace under random edits: cargo with the cache behind it must do and say what it does without."""

import os
import re
import shutil
import stat

from lab import say
from torture.ground import Ran, digest
from torture.project import Project

# Files of a target folder that are not made of its sources alone: times, what cargo knows of rustc itself, messages kept for
# later, and lists in any order.
OF_THE_MOMENT = re.compile("|".join([
    r"/\.rustc_info\.json$", r"\.timestamp$", r"\.cargo-(build-|artifact-)?lock$", r"/\.fingerprint/[^/]*/(dep|output)-", "CACHEDIR",
    r"^/[^/]+/(examples/)?[^/]+\.d$",
]))
# Lines and words of cargo's own that depend on time, on who was first, or on what lay in the target folder before.
PASSING_LINES = re.compile(r"^\W*(\x1b\[[\d;]*m)*\s*(Locking|Updating|Adding|Removing|Downgrading|Blocking)\b|build failed, waiting for other jobs")
PASSING_WORDS = re.compile("|".join([
    r"( in|finished in) \d+\.\d+s", r"\[?\d+\.\d+s\]?", r" \(\d+ duplicates?\)", r" \(run `[^`]*` to apply \d+ suggestions?\)",
    # The number of a thread, and a folder that rustc makes for a link.
    r"(?<=') \(\d+\)(?= panicked)", r"/rustc[A-Za-z0-9]{6}(?=/)",
]))

# What the cache does where checkouts share: map the root, unless an argument names it or the command runs plain.
MAPPED = """#!/bin/sh
program=$1
shift
case "$program $1" in *clippy-driver*rustc) program="$program $1"; shift ;; esac
for word in "$@"; do
    case "$word" in
    *link-arg*ROOT*|*--print*|-vV|split-debuginfo=*packed) exec $program "$@" ;;
    esac
done
exec $program --remap-path-prefix=ROOT=. "$@"
"""


class Built(Project):
    restarts = 0.03

    def __init__(self, ground, dice, grower, name):
        super().__init__(ground, dice, grower, name)
        self.saved = []
        self.copy = self.root.with_name(name + "-copy")
        self.mapped = ground.work / f"{name}-mapped"
        # Places whose two target folders have seen the same.
        self.alike = set()
        (self.root / ".git").mkdir()
        grower.mend(self.root)

    def command(self, number):
        return self.grower.command(number)

    # What can happen, beside what can happen to every project.

    def save(self):
        self.saved.append(dict(self.sources(self.root)))
        return f"state {len(self.saved) - 1} is kept"

    def checkout(self):
        """Back to another state, as version control does it: what differs is written anew."""
        if not self.saved:
            return self.save()
        number = self.dice.randrange(len(self.saved))
        self.become(self.root, self.saved[number])
        return f"back to state {number}"

    def become(self, root, wanted):
        """Makes a folder have these files, and touches nothing that is as wanted."""
        now = dict(self.sources(root))
        for path in now:
            if wanted.get(path) != now[path]:
                (root / path).unlink()
        for path, (kind, content) in wanted.items():
            place = root / path
            if now.get(path) == (kind, content):
                continue
            if place.parent.is_symlink():
                place.parent.unlink()
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            if kind == "link":
                place.symlink_to(content)
            else:
                place.write_bytes(content)

    def sources(self, root):
        """Path, and kind and content, of each file but those that cargo made."""
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in ("target", ".git")]
            for name in files:
                place = os.path.join(folder, name)
                if name == "Cargo.lock":
                    continue
                path = os.path.relpath(place, root)
                if os.path.islink(place):
                    yield path, ("link", os.readlink(place))
                else:
                    with open(place, "rb") as file:
                        yield path, ("file", file.read())

    def edit_manifest(self):
        path = self.dice.choice([path for path in self.grower.files if path.endswith("Cargo.toml")])
        (self.root / path).write_text(self.grower.text(path))
        return f"write {path}"

    def happenings(self):
        return [self.edit_file] * 12 + [self.touch, self.exchange_folders, self.replace_folder, self.link_file, self.move_root,
                                        self.many_edits, self.edit_manifest, self.edit_manifest, self.other_command, self.other_command,
                                        self.save, self.save, self.checkout, self.checkout, self.checkout, self.checkout, self.wait]

    def exchange_folders(self):
        if len(self.grower.alike) < 2:
            return "nothing to exchange"
        return super().exchange_folders()

    # What comes of it.

    def variables(self, command, root, cached):
        env = {**self.ground.env, **command.variables, "CARGO_INCREMENTAL": "0", "TOOL_CC": "gcc", "TOOL_AR": "ar"}
        if cached:
            zccache = self.ground.lab.zccache
            env |= {"RUSTC_WRAPPER": zccache, "TOOL_CC": f"{zccache} gcc", "TOOL_AR": f"{zccache} ar"}
            # Procedural macros read these, which nobody can see.
            env["ZCCACHE_EXTRA_INPUTS"] = ":".join(f"{root}/{name}/macro.txt" for name in sorted(self.grower.crates))
            if command.shared:
                env["ZCCACHE_PATH_REMAP"] = "auto"
        elif command.shared:
            self.mapped.write_text(MAPPED.replace("ROOT", str(root)))
            self.mapped.chmod(0o755)
            env["RUSTC_WRAPPER"] = str(self.mapped)
            env["TOOL_CC"] = f"gcc -ffile-prefix-map={root}=."
        return env

    def aside(self, command, root, cached):
        """Where the target folder of this side lies while the other one builds."""
        return self.ground.work / "targets" / f"{root.name}-{command.target.replace('/', '-')}-{'cached' if cached else 'bare'}"

    def build(self, command, root, cached, wipe):
        """Runs cargo with the target folder of this side in its place. Gives how it ended and what is in that folder."""
        target = root / command.target
        aside = self.aside(command, root, cached)
        aside.parent.mkdir(exist_ok=True)
        if wipe:
            shutil.rmtree(aside, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        if aside.exists():
            aside.rename(target)
        ran = Ran(["cargo", *command.words], root, self.variables(command, root, cached))
        found = {}
        if target.exists():
            found = content_of(target)
            target.rename(aside)
        return ran, said(ran), found

    def judge(self, row, number):
        command = self.commands[number]
        root = self.root
        if command.place == "copy":
            root = self.copy
            (root / ".git").mkdir(parents=True, exist_ok=True)
            self.become(root, dict(self.sources(self.root)))
        side = (root, command.target)
        wipe = side not in self.alike or self.dice.random() < 0.5
        before = self.counted()
        order = [True, False] if self.dice.random() < 0.5 else [False, True]
        got = {cached: self.build(command, root, cached, wipe) for cached in order}
        self.alike.add(side)
        ran, text, made = got[True]
        bare, wanted_text, wanted = got[False]
        self.note(bare)
        after = self.counted()
        for name in after:
            self.ground.shares[name] = self.ground.shares.get(name, 0) + max(0, after[name] - before[name])
        differ = difference(made, wanted)
        if bare.status and ran.status == bare.status and "--keep-going" not in command.words and all(map(is_stopped, (text, wanted_text))):
            # Cargo stops at the first error, whichever that is.
            differ, text = [path for path in differ if path in made and path in wanted], wanted_text
            self.alike.discard(side)
        if ran.status == bare.status and text == wanted_text and not differ:
            # Others work on this machine too.
            row.count(False, ran.status == "hangs", max(0.0, ran.seconds - 2 * bare.seconds), f"slow: {command}")
            return
        kept = self.keep(command, root, differ)
        # Some results are of the moment, and some of cargo's own.
        again = self.build(command, root, False, True)
        anew = self.build(command, root, True, True)
        unsteady = wipe and (again[0].status, *again[1:]) != (bare.status, wanted_text, wanted)
        lines = [[line[:300] for line in one if line not in other][:3] for one, other in ((text, wanted_text), (wanted_text, text))]
        note = (f"{'unsteady: ' if unsteady else ''}{self.root.name}, edit {len(self.log)}: {command}\n"
                f"      target folder {'wiped' if wipe else 'kept'}, {'cache' if order[0] else 'bare'} first; status {ran.status}, "
                f"bare {bare.status}; differ: {differ[:8]}; from nothing: {difference(anew[2], again[2])[:8]}, "
                f"{'same' if anew[1] == again[1] else 'other'} messages\n"
                f"      said with the cache only: {lines[0]}, bare only: {lines[1]}\n      edits: {self.log[-6:]}")
        say(f"    {note}")
        self.alike.discard(side)
        (kept / "NOTE").write_text(note)
        row.count(not unsteady, False, 0.0, note)

    def keep(self, command, root, differ):
        """Puts the sources aside, with some of the files that differ."""
        kept = self.ground.work / f"found-{self.root.name}-{len(self.log)}-{self.ran}"
        shutil.copytree(root, kept, symlinks=True)
        for path in differ[:6]:
            for cached, name in ((True, "cached"), (False, "bare")):
                place = self.aside(command, root, cached) / path
                if place.is_file():
                    (kept / name).mkdir(exist_ok=True)
                    shutil.copy2(place, kept / name / place.name)
        return kept

    def leave(self):
        for folder in (self.copy, self.ground.work / "targets", self.root / "target"):
            shutil.rmtree(folder, ignore_errors=True)
        say(f"{self.root.name}: {self.ran} commands, {self.succeeded} succeed bare, {self.ground.shares}")

    def counted(self):
        counts, _ = self.ground.lab.counts()
        return counts


def content_of(target):
    """Every file below a target folder that says something of the sources: mode and content."""
    found, seen = {}, {}
    for folder, _, files in os.walk(target):
        for name in files:
            place = os.path.join(folder, name)
            path = os.path.relpath(place, target)
            if OF_THE_MOMENT.search("/" + path):
                continue
            here = os.stat(place, follow_symlinks=False)
            if stat.S_ISREG(here.st_mode):
                if here.st_ino not in seen:
                    with open(place, "rb") as file:
                        seen[here.st_ino] = digest(file.read())
                found[path] = here.st_mode, seen[here.st_ino]
            else:
                found[path] = here.st_mode, os.readlink(place)
    return found


def said(ran):
    """Its lines in any order, without what differs from run to run."""
    lines = (ran.out + b"\n" + ran.err).decode(errors="replace").splitlines()
    return sorted(PASSING_WORDS.sub("", line) for line in lines if not PASSING_LINES.search(line))


def difference(made, wanted):
    """The files that differ, or are on one side only."""
    return sorted(path for path in {**made, **wanted} if made.get(path) != wanted.get(path))


def is_stopped(lines):
    return any("could not compile" in line for line in lines)
