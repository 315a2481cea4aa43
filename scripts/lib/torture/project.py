"""A random project: edits in every way we know, and commands whose results must be what the bare compiler makes of
that state."""

import mmap
import os
import re
import shutil
import signal
import stat
import time
from collections import Counter
from functools import partial

from lab import say
from torture.ground import Ran, digest
from torture.grown import Command

COMMANDS = 6


class Project:
    # How often the daemon goes in a step.
    restarts = 0.02

    def __init__(self, ground, dice, grower, name):
        self.ground, self.dice, self.grower = ground, dice, grower
        self.root = ground.work / name
        self.log = []
        for folder in grower.folders:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for path in grower.optional:
            if dice.random() < grower.likely:
                self.write(path)
        for path in grower.files:
            self.write(path)
        for path in grower.objects:
            self.compile(path)
        for _ in range(grower.at_first):
            dice.choice(grower.extras)(grower, ground, self.root)
        for name, target in dict(reversed(grower.links)).items():
            if dice.random() < 0.5 and not (self.root / name).is_symlink():
                (self.root / name).symlink_to(target)
        self.commands = [self.command(number) for number in range(COMMANDS)]
        self.made = set()
        # Commands, those that succeed without the cache, and why others don't.
        self.ran = self.succeeded = 0
        self.complaints = Counter()

    def command(self, number):
        return Command(*self.grower.command(number))

    def write(self, path):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self.text(path))
        if path in self.grower.scripts:
            place.chmod(0o755)

    def text(self, path):
        return self.grower.text(path).replace("{root}", str(self.root))

    def compile(self, path):
        """Another object under this path."""
        source, text, words = self.grower.object(path)
        (self.root / source).write_text(text)
        self.ground.bare(*words, cwd=self.root)

    # What can happen to a project. Each gives a word for the log.

    def some_file(self):
        return self.dice.choice([*self.grower.optional, *self.grower.files, *self.grower.files])

    def edit_file(self):
        """Another text for a file that is there or not, written in one of the ways there are."""
        path = self.some_file()
        place = self.root / path
        way = self.dice.choice(["write", "rename", "same time", "hard link", "mapped", "through", "remove", "move"])
        if not place.is_file() and way != "rename":
            way = "write"
        if not place.parent.is_dir():
            return f"no folder for {path}"
        text = self.text(path).encode()
        before = place.stat() if place.is_file() else None
        aside = self.ground.work / "aside"
        aside.unlink(missing_ok=True)
        if place.is_dir():
            return f"{path} is a folder"
        if way == "rename":
            aside.write_bytes(text)
            aside.chmod(before.st_mode & 0o777 if before else 0o755 if path in self.grower.scripts else 0o644)
            if before and self.dice.random() < 0.5:
                os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
            aside.rename(place)
        elif way == "remove" and path not in self.grower.scripts:
            place.unlink()
        elif way == "move":
            place.rename(aside)
            shutil.copy2(aside, place)
            self.into(place, text)
        elif way == "hard link":
            os.link(place, aside)
            self.into(aside, text)
        elif way == "mapped" and before.st_size:
            with open(place, "r+b") as file:
                file.truncate(max(len(text), 1))
                with mmap.mmap(file.fileno(), 0) as view:
                    view[:len(text)] = text
        elif way == "through":
            alias = self.ground.work / "alias"
            alias.unlink(missing_ok=True)
            alias.symlink_to(place.parent)
            self.into(alias / place.name, text)
        else:
            place.write_bytes(text)
        if way == "same time":
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
        return f"{way} {path}"

    def into(self, place, text):
        """Writes into the file that is there."""
        with open(place, "r+b") as file:
            file.write(text)
            file.truncate()

    def touch(self):
        path = self.some_file()
        if (self.root / path).is_file():
            moment = time.time_ns() - self.dice.choice([0, 0, 10**9, 10**15])
            os.utime(self.root / path, ns=(moment, moment))
        return f"touch {path}"

    def exchange_folders(self):
        first, second = self.dice.sample(self.grower.alike, 2)
        aside = self.root / "aside"
        (self.root / first).rename(aside)
        (self.root / second).rename(self.root / first)
        aside.rename(self.root / second)
        return f"{first} and {second} exchanged"

    def replace_folder(self):
        """The same folder once more, with one file changed, in its place."""
        name = self.dice.choice(self.grower.replaced)
        place, aside = self.root / name, self.root / "aside"
        if place.is_symlink() or not place.is_dir():
            return f"no {name}"
        shutil.copytree(place, aside, symlinks=True)
        shutil.rmtree(place)
        aside.rename(place)
        return f"{name} replaced; " + self.edit_file()

    def link_folder(self):
        name, target = self.dice.choice(self.grower.links)
        place = self.root / name
        if place.is_symlink() or place.exists():
            place.unlink()
        if self.dice.random() < 0.8:
            place.symlink_to(target)
        return f"{name} leads to {target if place.is_symlink() else 'nothing'}"

    def link_file(self):
        """A file that is a link to another one, or to nothing, or is a folder; or no more of that."""
        path = self.dice.choice(self.grower.optional)
        place = self.root / path
        if not place.parent.is_dir():
            return f"no folder for {path}"
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
            return f"{path} is no folder any more"
        place.unlink(missing_ok=True)
        kind = self.dice.choice(["link", "link", "nothing", "folder", "hard"])
        others = [self.root / other for other in self.grower.optional if other != path and self.grower.may_stand_for(path, other)]
        others = [other for other in others if other.is_file() and not other.is_symlink()]
        if kind == "folder":
            place.mkdir()
        elif kind == "nothing" or not others:
            place.symlink_to("nowhere")
        elif kind == "hard":
            os.link(self.dice.choice(others), place)
        else:
            place.symlink_to(self.dice.choice(others))
        return f"{path} is a {kind}"

    def move_root(self):
        """The whole project goes away, is changed, and comes back."""
        away = self.root.with_name("away")
        self.root.rename(away)
        home, self.root = self.root, away
        try:
            what = self.edit_file()
        finally:
            self.root = home
            away.rename(home)
        return f"moved away and back, and {what}"

    def change_object(self):
        path = self.dice.choice(self.grower.objects)
        self.compile(path)
        return f"another {path}"

    def many_edits(self):
        return "; ".join(self.edit_file() for _ in range(self.dice.randrange(2, 8)))

    def other_command(self):
        number = self.dice.randrange(COMMANDS)
        self.commands[number] = self.command(number)
        return f"another command {number}"

    def restart(self):
        if self.dice.random() < 0.5:
            self.ground.zccache("stop")
        else:
            self.ground.signal(signal.SIGKILL)
            time.sleep(0.05)
        return "no daemon meanwhile: " + self.edit_file()

    def wait(self):
        # Longer than two changes at one moment can be mistaken for each other.
        time.sleep(self.dice.choice([0.02, 0.1, 0.5]))
        return "a pause"

    def extras(self):
        """What happens to such projects only."""
        return [partial(extra, self.grower, self.ground, self.root) for extra in self.grower.extras]

    def happenings(self):
        """What a step chooses from."""
        return [self.edit_file] * 12 + [self.touch, self.exchange_folders, self.replace_folder, self.link_folder, self.link_file,
                                        self.link_file, self.move_root, self.change_object, self.change_object, self.many_edits,
                                        self.other_command, self.other_command, self.wait, *self.extras()]

    def step(self):
        happens = self.happenings()
        if self.dice.random() < self.restarts:
            happens = [self.restart]
        happens = self.dice.choice(happens)
        try:
            self.log.append(happens())
        except OSError as error:
            self.log.append(f"{happens}: {error}")
        if self.grower.mended and self.dice.random() < self.grower.mended:
            self.grower.mend(self.root)

    # What comes of it.

    def state(self):
        """Every file: kind, mode, content, and its time apart from those."""
        found = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    here = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(here.st_mode):
                        folders.append(path)
                        found[path] = here.st_mode, None, 0
                    elif stat.S_ISLNK(here.st_mode):
                        found[path] = here.st_mode, os.readlink(self.root / path), 0
                    else:
                        with open(self.root / path, "rb") as file:
                            found[path] = here.st_mode, digest(file.read()), here.st_mtime_ns
        return found

    def clear(self, paths):
        """Removes what was made, folders too."""
        for path in sorted(paths, reverse=True):
            place = self.root / path
            try:
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink()
            except OSError:
                pass  # gone, or not empty

    def run(self, number, cached, keep=False):
        """Runs a command, bare or through the cache; gives how it ended, what it made, and what of that is older than the
        run. `keep`: what was made before is still there."""
        if not keep:
            self.clear(self.made)
        before = {path: here for path, here in self.state().items() if path not in self.made}
        begin = time.time_ns()
        ran = self.start(self.commands[number], cached)
        after = self.state()
        made = {path: here for path, here in after.items() if here != before.get(path)}
        self.made = set(made)
        # Kernel times are a tick behind.
        old = [path for path, here in made.items() if here[2] and here[2] < begin - 20_000_000]
        return ran, {path: here[:2] for path, here in made.items()}, old

    def start(self, command, cached):
        here = lambda word: word.replace("{root}", str(self.root))
        env = {**self.ground.env, **{name: here(value) for name, value in command.variables.items()}}
        before, words = map(here, command.before), [*map(here, command.words)]
        if command.script:
            env["Z"] = self.ground.lab.zccache if cached else ""
        elif command.farm and cached:
            env["PATH"] = f"{self.farm()}:{env['PATH']}"
        elif cached:
            words = [self.ground.lab.zccache, *command.declared, *words]
        return Ran([*before, *words], self.root / command.folder, env, self.ground.prefix if cached else ())

    def farm(self):
        """The folder of links that stand for tools."""
        folder = self.ground.lab.folder / "farm"
        if not folder.is_dir():
            self.ground.zccache("link", folder)
        return folder

    def judge(self, row, number):
        """One command through the cache, held against the bare one. (Its folder may be gone.)"""
        if not (self.root / self.commands[number].folder).is_dir():
            return
        bare, wanted, bare_old = self.run(number, False)
        ran, made, old = self.run(number, True, keep=self.dice.random() < 0.3 and not self.commands[number].needs_empty)
        self.note(bare)
        # A script may set times itself.
        old = [path for path in old if path not in bare_old]
        right = (ran.said(), made) == (bare.said(), wanted) and not old
        if not right:
            # Some results are of the moment.
            again, made_again, _ = self.run(number, False)
            right = (again.said(), made_again) != (bare.said(), wanted) and not old
        extra = max(0.0, ran.seconds - bare.seconds)
        note = ""
        if not right:
            command = self.commands[number]
            differ = [path for path in {**made, **wanted} if made.get(path) != wanted.get(path)]
            note = (f"{self.root.name}, edit {len(self.log)}, in {command}\n      status {ran.status}, bare {bare.status}; "
                    f"differ: {differ}; old: {old}; said the same: {ran.said() == bare.said()}\n      edits: {self.log[-6:]}")
            say(f"    {note}")
        row.count(not right, ran.status == "hangs", extra, note)

    def note(self, bare):
        """Counts how a command ends without the cache."""
        self.ran += 1
        self.succeeded += bare.status == 0
        if bare.status:
            # The first line that complains, without names and numbers.
            lines = (bare.err + b"\n" + bare.out).decode(errors="replace").splitlines()
            first = next((line for line in lines if "error" in line), "something else")
            if first.startswith("{"):
                found = re.search(r'"message":"((?:[^"\\]|\\.)*)"', first)
                first = f"error: {found[1]}" if found else first
            self.complaints[re.sub(r"`[^`]*`|\d+", "…", first)[:100]] += 1

    def leave(self):
        """After the last step."""
