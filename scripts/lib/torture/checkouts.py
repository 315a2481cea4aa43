"""A walk through several checkouts of one project that are edited apart and compiled with `ZCCACHE_PATH_REMAP=auto`."""

import copy
import random
import shutil
from dataclasses import replace

from lab import say
from torture import grown_c, grown_rust
from torture.project import COMMANDS, Project

# Of different lengths: dependency files are broken by those.
NAMES = ["tree-one", "tree-of-the-second", "tree-3"]
LINK = "linked-tree"


class Grower(grown_c.Grower):
    """Commands that name the checkout in all ways."""

    def command(self, number):
        folder, names, words = super().command(number)
        up = "../" if folder else ""

        def spelled(word):
            for option in ("-I", ""):
                path = word.removeprefix(option)
                if option in word[:2] and path.startswith(up or ("src/", "inc", "alt", "sys", "four")) and self.chance(0.3):
                    return f"{option}{{root}}/{path.removeprefix(up)}"
            return word

        words = [words[0], *map(spelled, words[1:])]
        if words[0] not in ("ar", "ld"):
            words += self.pick(0.5, "-g", "-g", "-O2 -g", "-gz", "-DROOT=\"{root}\"", "-fdebug-prefix-map={root}=X", "-ffile-prefix-map={root}=X", "-fmacro-prefix-map={root}/src=X", "-I{root}", "-iquote {root}/src",
                               "-MD", "-MMD -MT {root}/goal", "-H", "-Wall -Wextra", "-frecord-gcc-switches", "--coverage", "-fprofile-arcs", "-gsplit-dwarf -g", "-Wa,-I{root}/inc", "-fdebug-compilation-dir=.", "-flto -frandom-seed=1")
        before = []
        kind = self.dice.randrange(8)
        if kind == 0:
            before = ["sh", "-c", f'cd -L "{{root}}/../{LINK}/{folder}" && exec "$@"', "sh"]
        elif kind == 1:
            names = {**names, "PWD": f"{{root}}/{folder}".rstrip("/")}
        elif kind == 2:
            names = {**names, "ZCCACHE_WORKTREE_ROOT": self.dice.choice(["{root}", "{root}/src", "{root}/..", ""])}
        return folder, names, words, before


class Checkout(Project):
    """One of several; `others` are their roots."""

    others = ()

    def sibling(self, root):
        """Another checkout in the same state."""
        other = copy.copy(self)
        other.root, other.log, other.made = root, [], set()
        shutil.copytree(self.root, root, symlinks=True)
        return other

    def judge(self, row, number):
        command = self.commands[number]
        if not (self.root / command.folder).is_dir():
            return
        link = self.root.parent / LINK
        link.unlink(missing_ok=True)
        link.symlink_to(self.root.name)
        truths, bare = self.truths(command, number)
        ran, made, old = self.run(number, True, keep=self.dice.random() < 0.3 and not command.needs_empty)
        named = self.names_others(ran, made)
        # Where the bare compiler names another one as well, a file of that one was used.
        right = not old and any((ran.said(), made) == truth for truth in truths)
        note = ""
        if not right:
            again, _ = self.truths(command, number)
            right = not named and not old and any(truth not in truths for truth in again)
        if not right:
            said = [ran.said() == truth[0] for truth in truths]
            differ = [[path for path in {**made, **truth[1]} if made.get(path) != truth[1].get(path)] for truth in truths]
            note = (f"{self.root.name}, edit {len(self.log)}, in {command}\n      status {ran.status}, bare {bare.status}; names others: {named}; differ: {differ}; "
                    f"old: {old}; said the same: {said}\n      edits: {self.log[-4:]}")
            say(f"    {note}")
        row.count(not right, ran.status == "hangs", max(0.0, ran.seconds - bare.seconds), note)

    def truths(self, command, number):
        """What the bare compiler makes, plain and with the maps that zccache may add."""
        truths = []
        top = self.top(command)
        flag = "--remap-path-prefix=" if command.words[0] == "rustc" else "-ffile-prefix-map="
        maps = [f"{flag}{top}=.", f"{flag}{self.root.parent / LINK}{str(top).removeprefix(str(self.root))}=."]
        adding = [[], maps[:1], maps, maps[::-1]] if command.before else [[], maps[:1]]
        if command.words[0] in ("ar", "ld"):
            adding = [[]]
        for added in adding:
            self.commands[number] = replace(command, words=[command.words[0], *added, *command.words[1:]])
            ran, made, _ = self.run(number, False)
            truths.append((ran.said(), made))
        self.commands[number] = command
        return truths, ran

    def top(self, command):
        """The root that zccache finds."""
        named = command.variables.get("ZCCACHE_WORKTREE_ROOT", "").replace("{root}", str(self.root))
        if named:
            return named
        folder = (self.root / command.folder).resolve()
        return next((each for each in [folder, *folder.parents] if (each / ".git").exists()), self.root)

    def submodule(self):
        """A folder becomes a checkout of its own, or is none any more."""
        place = self.root / self.dice.choice(["src", "build"]) / ".git"
        if place.is_file():
            place.unlink()
        elif place.parent.is_dir():
            place.write_text("gitdir: none\n")
        self.log.append(f"{place} comes or goes")

    def names_others(self, ran, made):
        """Where another checkout is named."""
        texts = {"messages": ran.out + ran.err}
        for path, (_, content) in made.items():
            if content is not None and (self.root / path).is_file():
                texts[path] = (self.root / path).read_bytes()
        return [where for where, text in texts.items() for other in self.others if other.encode() + b"/" in text and other != self.root.name]

    def sync(self, other):
        """Files of another checkout come here: one, or all."""
        if self.dice.random() < 0.5:
            path = self.some_file()
            if (other.root / path).is_file() and (self.root / path).parent.is_dir() and not (self.root / path).is_dir():
                self.dice.choice([shutil.copy, shutil.copy2])(other.root / path, self.root / path)
            self.log.append(f"{path} as in {other.root.name}")
        else:
            shutil.rmtree(self.root)
            shutil.copytree(other.root, self.root, symlinks=True, copy_function=self.dice.choice([shutil.copy, shutil.copy2]))
            self.log.append(f"all as in {other.root.name}")

    def exchange(self, other):
        aside = self.root.with_name("aside-tree")
        self.root.rename(aside)
        other.root.rename(self.root)
        aside.rename(other.root)
        for each in (self, other):
            each.made = set()
            each.log.append("two checkouts exchanged")


def walk(ground, name, kind, count):
    row = ground.row(name)
    ground.env["ZCCACHE_PATH_REMAP"] = "auto"
    for number in ground.rounds(row, count):
        dice = random.Random(f"{ground.random.random()}")
        Checkout.others = NAMES
        first = Checkout(ground, dice, kind(dice), NAMES[0])
        (first.root / ".git").mkdir()
        trees = [first, *(first.sibling(first.root.with_name(name)) for name in NAMES[1:])]
        for _ in range(50):
            for _ in range(dice.randrange(1, 4)):
                which = dice.randrange(COMMANDS)
                # The same in several: what one has stored is another's hit, if the dice left them alike.
                for tree in dice.sample(trees, dice.randrange(1, 3)):
                    tree.judge(row, which)
            one, other = dice.sample(trees, 2)
            kinds = [one.step] * 12 + [lambda: one.sync(other)] * 6 + [lambda: one.exchange(other)] * 2 + [one.submodule]
            dice.choice(kinds)()
        for tree in trees:
            shutil.rmtree(tree.root)
    counts, reasons = ground.lab.counts()
    say(f"since the last restart: {counts}, {reasons}, hits from other checkouts: {ground.lab.status()['worktree_hits']}")
    del ground.env["ZCCACHE_PATH_REMAP"]
    ground.works(row)


def checkouts(ground):
    walk(ground, "random edits of checkouts", Grower, 30)


def rust_checkouts(ground):
    # rustup finds its compilers through the home folder.
    homes = ground.lab.bare_env
    ground.env.update({name: homes[name] for name in ("CARGO_HOME", "RUSTUP_HOME")})
    walk(ground, "random edits of Rust checkouts", grown_rust.Grower, 15)
