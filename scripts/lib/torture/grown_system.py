"""System headers behind links: versions of a library in folders, one of which is the current one. gcc calls such a header
by the name of what the link leads to, if that is shorter, and goes on looking from there."""

import shutil

from torture.grown import Grown

VERSIONS = ["dep/1", "dep/2", "dep/3"]
HEADERS = [f"{version}/{name}" for version in VERSIONS for name in ("h.h", "sub.h")]
# A folder whose name is so long that what its files lead to has a shorter one.
FARM = "farm/of/links/under/a/name/that/is/longer/than/most"


class Grower(Grown):
    folders = [*VERSIONS, FARM, "other"]
    optional = [*HEADERS, "other/sub.h", f"{FARM}/sub.h"]
    files = ["one.c", "two.cc"]
    scripts = []
    objects = ["x.o"]
    alike = VERSIONS
    likely = 0.8
    replaced = VERSIONS
    links = [("dep/current", "1"), ("dep/current", "2"), ("dep/current", "3"), ("none", "dep/1")]

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[1] == other.rsplit("/", 1)[1]

    def current(self, ground, root):
        """Another version, by the folder's link or by a header's."""
        link, end = self.dice.choice([("dep/current", ""), (f"{FARM}/h.h", "/h.h")])
        version = self.dice.choice(VERSIONS)
        (root / link).unlink(missing_ok=True)
        (root / link).symlink_to(f"{root}/{version}{end}")
        return f"{link} leads to {version}"

    def same(self, ground, root):
        """Two versions have one header in common."""
        one, other = self.dice.sample(VERSIONS, 2)
        if (root / one / "h.h").is_file() and (root / other).is_dir() and not (root / other / "h.h").is_dir():
            (root / other / "h.h").unlink(missing_ok=True)
            shutil.copy(root / one / "h.h", root / other / "h.h")
        return f"h.h of {one} also in {other}"

    extras = [current] * 6 + [same] * 4
    at_first = 4

    def object(self, path):
        return "x.c", f"int x = {self.number()};\n", ["gcc", "-c", "x.c", "-o", path]

    def text(self, path):
        if path.endswith("sub.h"):
            return f"#define V {self.dice.randrange(1, 5)}\n"
        if path.endswith("h.h"):
            return self.dice.choice(['#include "sub.h"\n', '#if __has_include("sub.h")\n#include "sub.h"\n#endif\n', "static const char *const h = __FILE__;\n", '#pragma once\n#include "sub.h"\n'])
        return "#include <h.h>\n#ifdef V\nint v = V;\n#endif\n" + self.dice.choice(["", "const char *file = __FILE__;\n"])

    def command(self, number):
        source = self.dice.choice(["one.c", "one.c", "two.cc"])
        words = [self.dice.choice(["gcc", "gcc", "gcc", "clang"]) if source == "one.c" else "g++"]
        place = self.dice.choice(["{root}/dep/current", "{root}/dep/current", f"{{root}}/{FARM}", f"{FARM}"])
        names = {}
        if self.chance(0.2):
            names = {"C_INCLUDE_PATH" if source == "one.c" else "CPLUS_INCLUDE_PATH": place}
        else:
            words += [self.dice.choice(["-isystem", "-isystem", "-idirafter", "-I"]), place]
        words += self.pick(0.5, "-Iother") + self.pick(0.6, "-MD", "-MMD", "-g", "-MMD -g", "-fno-canonical-system-headers")
        return "", names, [*words, "-c", source, "-o", f"made{number}.o"]
