"""What all projects that grow at random have in common."""


class Grown:
    """Makes texts and commands by the dice. Each kind says which folders and files it has; see `edits.Project`."""

    # How often `mend` puts all in order after an edit.
    mended = 0

    def __init__(self, dice):
        self.dice = dice

    def chance(self, part):
        return self.dice.random() < part

    def number(self):
        # So few that old texts come back, and all of one length.
        return self.dice.randrange(10, 30)
