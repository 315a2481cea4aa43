"""What all projects that grow at random have in common."""

from dataclasses import dataclass, field


@dataclass
class Command:
    """What to run, and how it goes through the cache."""

    folder: str
    variables: dict
    words: list
    # What runs the command: a shell that prepares something first.
    before: list = field(default_factory=list)
    # `exec` and what it is told, between zccache and the words.
    declared: list = field(default_factory=list)
    # Through a folder of links with the names of tools, first on PATH.
    farm: bool = False
    # The words are a shell's, which calls `$Z` itself: nothing in the bare run, else zccache.
    script: bool = False

    @property
    def needs_empty(self):
        """Whether what an earlier run made changes what this one makes: it adds to that, or prepares by what is there."""
        return bool(self.before) or any(name.endswith(("_OUTPUT", "_DEPENDENCIES")) for name in self.variables) or "-MJ" in self.words

    def __str__(self):
        shown = [f"{name}={value}" for name, value in self.variables.items()] + [repr(word) for word in [*self.before, *self.declared, *self.words]]
        return f"{self.folder or '.'}{' by the farm' if self.farm else ''}: {' '.join(shown)}"


def prepared(script, *words):
    """A shell that does something before it becomes the command."""
    return ["sh", "-c", f'{script}; exec "$@"', "sh", *words]


class Grown:
    """Makes texts and commands by the dice. Each kind says which folders and files it has; see `project.Project`."""

    # How many of its extras happen before the walk.
    at_first = 0

    # How often `mend` puts all in order after an edit.
    mended = 0

    def __init__(self, dice):
        self.dice = dice

    def pick(self, likely, *words):
        """One of the words, split, or none."""
        return self.dice.choice(words).split() if self.chance(likely) else []

    def some(self, names):
        """A few of the names, at least one, in some order."""
        return self.dice.sample(names, self.dice.randrange(1, len(names) + 1))

    def chance(self, part):
        return self.dice.random() < part

    def number(self):
        # So few that old texts come back, and all of one length.
        return self.dice.randrange(10, 30)
