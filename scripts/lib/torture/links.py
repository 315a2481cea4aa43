"""Links and archives whose inputs change while they are made."""

import shutil
import threading
import time

from torture.ground import digest

PARTS = ["part.o", "first/libx.a", "second/libx.a", "m.c", "h.h", "args"]
# Those that may be missing.
OPTIONAL = ["first/libx.a", "second/libx.a"]
# With what each makes.
COMMANDS = [
    (["gcc", "@args", "main.o", "part.o", "-Lfirst", "-Lsecond", "-lx", "-o", "app"], "app"),
    (["gcc", "@args", "m.c", "part.o", "-Lfirst", "-Lsecond", "-lx", "-o", "both"], "both"),
    (["ar", "rcs", "new.a", "main.o", "part.o"], "new.a"),
]


def prepare(ground):
    """Four variants of each part, and one of each in its place."""
    for variant in range(4):
        folder = ground.work / f"variant{variant}"
        ground.write(f"variant{variant}/part.c", f"int part(void) {{ return {variant}; }}\n")
        ground.write(f"variant{variant}/x.c", f"int x(void) {{ return {variant}0; }}\nconst char filler[{variant}000];\n")
        for name in ("part", "x"):
            ground.bare("gcc", "-c", f"{name}.c", "-o", f"{name}.o", cwd=folder)
        for place in ("first", "second"):
            (folder / place).mkdir()
            ground.bare("ar", "rcs", f"{place}/libx.a", "x.o", cwd=folder)
        text = f'#include "h.h"\nint part(void), x(void);\nint main(void) {{ return part() + x() + H + {variant}; }}\n'
        ground.write(f"variant{variant}/m.c", text)
        ground.write(f"variant{variant}/h.h", f"#define H {variant}\n")
        ground.write(f"variant{variant}/args", f"-O{variant} -Wl,--defsym=ARG={variant}\n")
    for part in PARTS:
        put(ground, part, None if part == "first/libx.a" else 0)
    ground.bare("gcc", "-c", "m.c", "-o", "main.o")


def put(ground, part, variant):
    """In one step: a part is of the one variant or the other, or not there."""
    place = ground.work / part
    place.parent.mkdir(exist_ok=True)
    if variant is None:
        place.unlink(missing_ok=True)
        return
    temp = place.with_name(place.name + ".new")
    shutil.copyfile(ground.work / f"variant{variant}" / part, temp)
    temp.rename(place)


def parts(ground):
    """Sources, objects, libraries and response files exchanged at random moments of links, of commands that compile
    and link, and of archives being made."""
    row = ground.row("inputs changed in a link")
    prepare(ground)
    state = dict.fromkeys(PARTS, 0) | {"first/libx.a": None}
    for _ in ground.rounds(row, 1500):
        words, name = ground.random.choice(COMMANDS)
        out = ground.work / name
        before = ground.truth(words, name, tuple(state.items()))
        part = ground.random.choice(PARTS)
        variant = ground.random.choice([None, 1, 2] if part in OPTIONAL else [0, 1, 2, 3])
        out.unlink(missing_ok=True)
        ran = []
        link = threading.Thread(target=lambda: ran.append(ground.zccache(*words)))
        link.start()
        time.sleep(ground.random.uniform(0, 0.08))
        put(ground, part, variant)
        link.join()
        state[part] = variant
        content = digest(out.read_bytes()) if out.is_file() else None
        after = ground.truth(words, name, tuple(state.items()))
        # What a failed one says may be of both.
        if ran[0].status == 0 or ran[0].status not in (before[0][0], after[0][0]):
            ground.judge(row, words, ran[0], content, [before, after])
        for _ in range(2):
            ground.compile(row, words, name, tuple(state.items()))
    ground.works(row)
    # All of this is about nothing where none of them is kept.
    for words, name in COMMANDS:
        before = ground.hits() or 0
        for _ in range(4):
            ground.compile(row, words, name, tuple(state.items()))
        if (ground.hits() or 0) == before:
            row.count(0, 1, 0.0, f"{' '.join(words)}: never a hit")


FAULTS = [parts]
