"""Several commands of a random project at once, and edits in their middle: what was stored then must be right later, in
the new state and when the old one comes back."""

import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from lab import say
from torture import grown_c, grown_links
from torture.project import COMMANDS, Project

AT_ONCE = 4


class Crowd(Project):
    def many(self, numbers, meanwhile=None):
        """Runs commands at once, and something else in the middle."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = [pool.submit(self.start, self.commands[number], True) for number in numbers]
            if meanwhile:
                meanwhile()
            return [each.result() for each in running]

    def chosen(self):
        """Some commands that do not write to each other's files, and what each makes by itself, bare."""
        truths, taken = {}, set()
        for number in self.dice.sample(range(COMMANDS), 3):
            if (self.root / self.commands[number].folder).is_dir():
                ran, made, _ = self.run(number, False)
                if not taken & set(made):
                    truths[number] = ran, made
                    taken |= set(made)
        self.clear(self.made)
        self.made = set()
        return truths

    def is_repeatable(self, number):
        """Whether two of these at once are as good as one, without a cache too."""
        words = self.commands[number].words
        return "-c" in words and "-o" in words and not {"-save-temps", "-E", "--coverage"} & set(words)

    def together(self, row):
        """Commands at once, some of them twice."""
        truths = self.chosen()
        numbers = list(truths)
        numbers += [number for number in numbers if self.is_repeatable(number) and self.dice.random() < 0.5]
        self.dice.shuffle(numbers)
        before = self.state()
        ran = self.many(numbers)
        after = self.state()
        made = {path: here[:2] for path, here in after.items() if here != before.get(path)}
        self.made = set(made)
        for number, each in zip(numbers, ran):
            bare, wanted = truths[number]
            mine = {path: made.get(path) for path in wanted}
            right = each.said() == bare.said() and mine == wanted
            if not right:
                again, made_again, _ = self.run(number, False)
                right = (again.said(), made_again) != (bare.said(), wanted)
            note = "" if right else (f"{self.root.name}, edit {len(self.log)}, {numbers} at once, {number} in {self.commands[number]}\n      status {each.status}, bare {bare.status}; said the same: {each.said() == bare.said()}; "
                                     f"differ: {[path for path in wanted if mine[path] != wanted[path]]}\n      {each.err[:300]!r} {bare.err[:300]!r}")
            if note:
                say(f"    {note}")
            row.count(not right, each.status == "hangs", 0.0, note)

    def interrupted(self, row):
        """An edit while commands run; the new state is judged, then the old one."""
        numbers = [number for number in self.dice.sample(range(COMMANDS), 3) if (self.root / self.commands[number].folder).is_dir()]
        path = self.some_file()
        place = self.root / path
        if place.is_symlink() or not place.is_file():
            return
        old, new = place.read_bytes(), self.text(path).encode()
        pauses = [self.dice.choice([0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08]) for _ in range(2)]
        ways = [self.dice.choice(["in place", "renamed", "same time", "removed"]) for _ in range(3)]
        returns = self.dice.random() < 0.3

        def put(way, text):
            aside = self.ground.work / "aside"
            times = place.stat() if place.exists() else None
            if way == "removed":
                place.unlink(missing_ok=True)
                time.sleep(0.003)
            if way == "renamed":
                aside.write_bytes(text)
                aside.chmod(mode)
                aside.rename(place)
            else:
                place.write_bytes(text)
                place.chmod(mode)
            if way == "same time" and times:
                os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))

        def edit():
            time.sleep(pauses[0])
            put(ways[0], new)
            if returns:
                # Away and back within a compile.
                time.sleep(pauses[1])
                put(ways[1], old)

        mode = place.stat().st_mode & 0o777
        self.many([number for number in numbers if self.is_repeatable(number)] or numbers, edit)
        self.clear(self.new_names())
        self.log.append(f"{path} changed meanwhile: {ways}, {pauses}, back at once: {returns}")
        for number in numbers:
            self.judge(row, number)
        put(ways[2], new if returns else old)
        self.log.append(f"{path} is as before")
        for number in numbers:
            self.judge(row, number)

    def new_names(self):
        """What commands made."""
        return [path for path in self.state() if "made" in path or path.endswith((".gcno", ".su", ".dwo"))]


def crowd_of(ground, name, kind, count):
    row = ground.row(name)
    for number in ground.rounds(row, count):
        dice = random.Random(f"{ground.random.random()}")
        project = Crowd(ground, dice, kind(dice), f"project{number}")
        for _ in range(40):
            dice.choice([project.together, project.interrupted])(row)
            project.step()
        shutil.rmtree(project.root)
    counts, reasons = ground.lab.counts()
    say(f"since the last restart: {counts}, {reasons}")
    ground.works(row)


def crowds(ground):
    crowd_of(ground, "commands at once", grown_c.Grower, 30)


def linking_crowds(ground):
    crowd_of(ground, "links at once", grown_links.Grower, 20)
