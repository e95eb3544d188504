"""Draws the pictures of the documentation as SVG: states and their moves, boxes with arrows, and bars.

What is drawn comes from tables; here is only where things stand and how they look.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

INK, LINE, FILL, ENDED, PAPER = "#1f2d3a", "#5b7083", "#e3f1ef", "#eceff1", "#ffffff"
WIDTH, HEIGHT = 116, 40
"""The size of a state's box."""
OURS, OTHERS = "#1f8a7f", "#b6c2cc"
BAR, BAR_LEFT, BAR_LENGTH = 32, 310, 460
"""Of bars: how far apart they are, where they begin, and how long the longest is."""

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title"
     font-family="system-ui, sans-serif" font-size="14" fill="{ink}">
<title id="title">{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"
 orient="auto-start-reverse">
<path d="M0 0L10 5L0 10z" fill="{line}"/></marker></defs>
<rect width="100%" height="100%" rx="8" fill="{paper}"/>"""


@dataclass(frozen=True)
class Edge:
    """An arrow from one place to another, with words; `bend` is how far its middle lies to the left of the straight."""

    source: str
    target: str
    words: str
    bend: float = 22
    at: float = 0.5
    """Where its words stand: 0 at the source, 1 at the target."""


def state_picture(
    title: str,
    places: Mapping[str, tuple[float, float]],
    edges: Iterable[Edge],
    *,
    size: tuple[int, int],
    ended: Iterable[str] = (),
) -> str:
    """Return a picture of states, given the middle of each, and what leads from one to another."""
    lines, words = [], []
    for edge in edges:
        path, (x, y) = _curve(places[edge.source], places[edge.target], edge)
        lines.append(f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#tip)"/>')
        words.append(_text(x, y + 4, edge.words, size=12.5, halo=True))
    boxes = [box(x, y, WIDTH, HEIGHT, name, fill=ENDED if name in ended else FILL) for name, (x, y) in places.items()]
    return picture(title, [*lines, *boxes, *words], size)


def picture(title: str, parts: Iterable[str], size: tuple[int, int]) -> str:
    """Return a whole file of SVG."""
    head = HEAD.format(width=size[0], height=size[1], title=escape(title), ink=INK, line=LINE, paper=PAPER)
    return "\n".join([head, *parts, "</svg>", ""])


def box(x: float, y: float, width: float, height: float, *words: str, fill: str = FILL, top: bool = False) -> str:
    """Return a box around its middle, with lines of words in its middle or at its top; the first is bold."""
    first = y - height / 2 + 21 if top else y + 5 - (len(words) - 1) * 9
    lines = [_text(x, first + n * 18, line, size=14 if n == 0 else 12, bold=n == 0) for n, line in enumerate(words)]
    shape = (
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="8" '
        f'fill="{fill}" stroke="{LINE}"/>'
    )
    return "\n".join([shape, *lines])


def arrow(start: tuple[float, float], end: tuple[float, float], words: str = "", *, both: bool = False) -> str:
    """Return a straight arrow with words beside its middle."""
    (x1, y1), (x2, y2) = start, end
    tips = 'marker-end="url(#tip)"' + (' marker-start="url(#tip)"' if both else "")
    line = f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{LINE}" stroke-width="1.5" {tips}/>'
    return line + ("\n" + _text((x1 + x2) / 2, (y1 + y2) / 2 + 4, words, size=12, halo=True) if words else "")


def bars_picture(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Return bars from top to bottom, each with its name, its length and how that is said; those of ours stand out."""
    longest = max((value for _, value, _ in bars), default=1.0)
    parts = [_text(20, 30, title if bars else f"{title}: not measured", size=15, bold=True, anchor="start")]
    for number, (name, value, shown) in enumerate(bars):
        y = 50 + number * BAR
        ours = name.startswith("Penstock")
        length = max(1.0, value / longest * BAR_LENGTH)
        fill = OURS if ours else OTHERS
        parts.append(_text(BAR_LEFT - 10, y + 17, name.replace("`", ""), size=13, bold=ours, anchor="end"))
        parts.append(f'<rect x="{BAR_LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 8}" rx="3" fill="{fill}"/>')
        parts.append(_text(BAR_LEFT + length + 8, y + 17, shown.format(value), size=13, anchor="start"))
    return picture(title, parts, (BAR_LEFT + BAR_LENGTH + 100, 64 + len(bars) * BAR))


def _text(
    x: float, y: float, words: str, *, size: float, bold: bool = False, halo: bool = False, anchor: str = "middle"
) -> str:
    weight = ' font-weight="600"' if bold else ""
    around = f' stroke="{PAPER}" stroke-width="5" paint-order="stroke" stroke-linejoin="round"' if halo else ""
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size:g}"'
    return f"<text {place}{weight}{around}>{escape(words)}</text>"


def _curve(start: tuple[float, float], end: tuple[float, float], edge: Edge) -> tuple[str, tuple[float, float]]:
    (x1, y1), (x2, y2) = start, end
    if edge.source == edge.target:
        top = y1 - HEIGHT / 2
        return f"M{x1 + 20:g} {top:g}C{x1 + 60:g} {top - 58:g} {x1 - 60:g} {top - 58:g} {x1 - 20:g} {top:g}", (
            x1,
            top - 44,
        )
    length = math.hypot(x2 - x1, y2 - y1)
    middle = ((x1 + x2) / 2 + (y2 - y1) / length * edge.bend * 2, (y1 + y2) / 2 - (x2 - x1) / length * edge.bend * 2)
    a, b = _border(start, middle), _border(end, middle)
    path = f"M{a[0]:.1f} {a[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {b[0]:.1f} {b[1]:.1f}"
    t = edge.at
    x, y = ((1 - t) ** 2 * a[n] + 2 * t * (1 - t) * middle[n] + t * t * b[n] for n in (0, 1))
    return path, (x, y)


def _border(place: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where the line from the middle of a box to a point leaves the box."""
    dx, dy = towards[0] - place[0], towards[1] - place[1]
    share = min(WIDTH / 2 / abs(dx) if dx else math.inf, HEIGHT / 2 / abs(dy) if dy else math.inf)
    return place[0] + dx * share, place[1] + dy * share
