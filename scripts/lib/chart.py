"""The figures as one picture: bars of each cache's median, beside the limit. Plain SVG that is readable on light
and on dark pages."""

from html import escape

from figures import median, ratio

WIDTH, LABEL, BAR, GAP, HEAD = 760, 250, 15, 4, 24
COLOURS = {"zccache": "#2f81f7", "ccache": "#8b949e", "sccache": "#a371f7", "kache": "#3fb950", "original": "#d29922", "instant": "#6e7681"}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.small { fill: #59636e; font-size: 11px; }
.limit { stroke: #cf222e; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .small { fill: #9198a1; } .limit { stroke: #ff7b72; } }
"""


class Panel:
    """Bars under one title. `mark`: a value to draw a line at."""

    def __init__(self, title, bars, form, mark=None):
        self.title = title
        self.bars = bars
        self.form = form
        self.mark = mark

    def height(self):
        return HEAD + len(self.bars) * (BAR + GAP) + 14

    def draw(self, top):
        most = max(value for _, _, value in self.bars)
        scale = (WIDTH - LABEL - 70) / most
        out = [f'<text class="title" x="8" y="{top + 14}">{escape(self.title)}</text>']
        y = top + HEAD
        for label, cache, value in self.bars:
            width = max(value * scale, 1)
            out.append(f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>')
            out.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{COLOURS.get(cache, "#6e7681")}"/>')
            out.append(f'<text class="small" x="{LABEL + width + 6:.1f}" y="{y + 12}">{self.form(value)}</text>')
            y += BAR + GAP
        if self.mark:
            x = LABEL + self.mark * scale
            out.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top + HEAD - 4}" y2="{y}"/>')
        return out


def panels(figures):
    rows = figures.data["rows"]
    found = []
    if "hit" in rows:
        row = rows["hit"]
        for label, cells in row["phases"].items():
            bars = [(cache, cache, ratio(row["phases"], label, cache, row["base"])) for cache, each in cells.items() if label and median(each)]
            if bars:
                title = f"One warm hit, {label}: times a process that only exits (the dashed line)"
                found.append(Panel(title, bars, lambda value: f"{value:.1f} x", 1))
    for name in ("c", "cxx", "rust"):
        row = rows.get(name)
        if row and "warm" in row["phases"]:
            cells = row["phases"]["warm"]
            bars = [("the limit: an instant compiler" if cache == "instant" else cache, cache, 100 * value) for cache in cells
                    if (value := ratio(row["phases"], "warm", cache, "bare"))]
            if bars:
                found.append(Panel(f"Warm build, {row['title']}: percent of the bare build", bars, lambda value: f"{value:.1f} %"))
    return found


def svg(figures):
    """The picture's text; None when there is nothing to draw."""
    drawn = panels(figures)
    if not drawn:
        return None
    foot = f"{figures.data['machine']}; {figures.data['taken']}"
    versions = "; ".join(f"{name} {version.split()[-1]}" for name, version in figures.data["caches"].items() if version[-1:].isdigit())
    height = sum(panel.height() for panel in drawn) + 44
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
           f"<title>zccache beside other compiler caches</title><style>{STYLE}</style>"]
    top = 6
    for panel in drawn:
        out += panel.draw(top)
        top += panel.height()
    out.append(f'<text class="small" x="8" y="{top + 10}">{escape(versions)}</text>')
    out.append(f'<text class="small" x="8" y="{top + 26}">{escape(foot)}</text></svg>')
    return "\n".join(out) + "\n"
