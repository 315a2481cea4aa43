"""What was measured: samples by row, phase and cache, their medians and spreads, as tables and as JSON.

A row is a dict: {"title", "base", "unit", "phases": {phase: {cache: cell}}, "notes": [...]}. A cell holds
`samples` (of the row's unit), or a single `value`, and whatever else was counted.
"""

import json
import os
import platform
import statistics
import time

from lab import say, table

FORMAT = 1


class Figures:
    """All rows of a run. `write` may be called after each row: a broken run still leaves what it has."""

    def __init__(self, path=None):
        self.path = path
        self.data = {"format": FORMAT, "taken": time.strftime("%Y-%m-%d"), "machine": machine(), "caches": {}, "rows": {}}

    @classmethod
    def read(cls, path):
        figures = cls()
        with open(path) as file:
            figures.data = json.load(file)
        if figures.data.get("format") != FORMAT:
            raise ValueError(f"{path} is of another format")
        return figures

    def row(self, name, title, unit, base=None):
        """Begins a row; `base` is the cache that ratios are against."""
        row = {"title": title, "unit": unit, "base": base, "phases": {}, "notes": []}
        self.data["rows"][name] = row
        return row

    def write(self):
        if self.path:
            with open(self.path, "w") as file:
                json.dump(self.data, file, indent=1)
                file.write("\n")

    def show(self):
        say()
        say(f"{self.data['machine']}; taken {self.data['taken']}")
        for name, version in self.data["caches"].items():
            say(f"{name}: {version}")
        for row in self.data["rows"].values():
            show_row(row)


def machine():
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    except OSError:
        model = "?"
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, load {load:.1f} at the start"


def cell(phase, cache):
    """The cell of a cache in a phase, made when it is new."""
    return phase.setdefault(cache, {"samples": []})


def median(cell):
    samples = cell.get("samples")
    return statistics.median(samples) if samples else None


def spread(cell):
    """(tenth, ninetieth percentile); of few samples, the least and the most."""
    samples = sorted(cell["samples"])
    return samples[len(samples) // 10], samples[(len(samples) * 9 - 1) // 10 if len(samples) >= 10 else -1]


def ratio(phases, phase, cache, base):
    """A cache's median against the base's, of the same phase where it has one, else of the first that has."""
    cells = phases[phase].get(cache, {}), phases[phase].get(base) or next((each[base] for each in phases.values() if base in each), {})
    above, below = map(median, cells)
    return above / below if above and below else None


def show_row(row):
    say()
    say(f"{row['title']}" + (f" (ratios against {row['base']})" if row["base"] else ""))
    if any(each.get("samples") for phase in row["phases"].values() for each in phase.values()):
        head = ["", "cache", row["unit"], "p10", "p90", "n", "ratio", "hits", "misses", "beside"]
        table(head, [sampled_line(row, phase, cache, each) for phase, cells in row["phases"].items() for cache, each in cells.items()])
    else:
        names = list(dict.fromkeys(name for phase in row["phases"].values() for name in phase))
        table(["", *names], [[phase, *(shown(cells.get(name)) for name in names)] for phase, cells in row["phases"].items()])
    for note in row["notes"]:
        say(f"  {note}")


def sampled_line(row, phase, cache, each):
    beside = each.get("note", "")
    if not each["samples"]:
        return [phase, cache, "-", "-", "-", 0, "-", "-", "-", beside]
    least, most = spread(each)
    against = ratio(row["phases"], phase, cache, row["base"]) if row["base"] else None
    counted = [each.get("hits", "-"), each.get("misses", "-")]
    return [phase, cache, f"{median(each):.3f}", f"{least:.3f}", f"{most:.3f}", len(each["samples"]), f"{against:.3f}" if against else "-", *counted, beside]


def shown(each):
    if each is None:
        return "-"
    value = each.get("value")
    return each.get("note", "-") if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
