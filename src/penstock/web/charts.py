"""Charts as SVG, made here: no library, no inline style, colours by class, told in words too."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape


class Series(NamedTuple):
    """One line of a chart's legend."""

    name: str
    tone: str
    values: Sequence[float]


def stacked_bars(series: Sequence[Series], labels: Sequence[str], *, title: str, height: int = 160) -> Markup:
    """Return bars, the series of each label on top of each other; `labels` and all values have the same length."""
    totals = [sum(values) for values in zip(*(each.values for each in series), strict=True)]
    top = nice_top(max(totals, default=0))
    count = max(1, len(labels))
    width, left, base = 520, 34, height - 22
    step = (width - left) / count
    parts = [_grid(left, width, base, top)]
    for index, label in enumerate(labels):
        y, x = float(base), left + index * step
        told = ", ".join(f"{each.name} {each.values[index]:,.0f}" for each in series)
        bars = []
        for each in series:
            size = each.values[index] / top * (base - 8)
            if size > 0:
                y -= size
                bars.append(
                    f'<rect class="fill-{each.tone}" x="{x + 1:.1f}" y="{y:.1f}" width="{max(1.0, step - 2):.1f}" '
                    f'height="{size:.1f}" rx="1.5"/>'
                )
        parts.append(f"<g>{''.join(bars)}<title>{escape(label)}: {escape(told)}</title></g>")
    every = max(1, count // 6)
    parts += [
        f'<text class="axis" x="{left + index * step:.1f}" y="{height - 6}">{escape(label)}</text>'
        for index, label in enumerate(labels)
        if index % every == 0
    ]
    return _svg("chart", width, height, title, parts)


def strip(parts: Sequence[tuple[str, float]], *, title: str, height: int = 10) -> Markup:
    """Return one bar whose parts share its width: each a tone and its amount."""
    whole = sum(amount for _, amount in parts) or 1
    x, drawn = 0.0, []
    for tone, amount in parts:
        size = amount / whole * 1000
        if size > 0:
            drawn.append(f'<rect class="fill-{tone}" x="{x:.2f}" y="0" width="{size:.2f}" height="{height}"/>')
        x += size
    return _svg("strip", 1000, height, title, [f'<rect class="fill-track" width="1000" height="{height}"/>', *drawn])


def slices(parts: Sequence[Mapping[str, Any]], failed_url: str | None) -> Markup:
    """Return the slices of a job side by side, as `strip_of_slices` tells them; failed ones lead to their page."""
    step, height, drawn = 1200 / max(1, len(parts)), 34, []
    for index, part in enumerate(parts):
        first, last, state = part["first"], part["last"], part["state"]
        name = f"slice {first:,}" if first == last else f"slices {first:,} to {last:,}"
        tone = "completed" if state == "done" else state
        shape = (
            f'<rect class="fill-{tone}" x="{index * step + 0.6:.2f}" y="3" width="{max(1.0, step - 1.2):.2f}" '
            f'height="28" rx="2"><title>{name}: {state}</title></rect>'
        )
        if part["failed"] is not None and failed_url:
            label = f"slice {part['failed']:,} failed: see the record"
            shape = f'<a href="{escape(failed_url)}{part["failed"]}" aria-label="{label}">{shape}</a>'
        drawn.append(shape)
    return Markup(  # noqa: S704 - numbers and words of ours; the URL is escaped.
        f'<svg class="slices" viewBox="0 0 1200 {height}" preserveAspectRatio="none" role="group" '
        f'aria-label="Slices, from the first to the last">{"".join(drawn)}</svg>'
    )


def sparkline(values: Sequence[float], *, title: str, tone: str = "running") -> Markup:
    """Return a small line without axes."""
    width, height = 160, 36
    top = max(values, default=0) or 1
    step = width / max(1, len(values) - 1)
    points = " ".join(f"{i * step:.1f},{height - 3 - value / top * (height - 6):.1f}" for i, value in enumerate(values))
    return _svg("spark", width, height, title, [f'<polyline class="line-{tone}" points="{points}"/>'])


def nice_top(value: float) -> float:
    """Return the lowest of 1, 2, 5, 10, 20, … that is not below a value."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if size * factor >= value:
                return size * factor
        size *= 10


def _grid(left: int, width: int, base: int, top: float) -> str:
    lines = []
    for part in (0, 0.5, 1):
        y = base - part * (base - 8)
        lines.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="axis end" x="{left - 6}" y="{y + 4:.1f}">{short_number(top * part)}</text>')
    return "".join(lines)


def short_number(value: float) -> str:
    """Return a number as an axis shows it: 950, 1.2k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}".rstrip("0").rstrip(".") + unit
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def _svg(kind: str, width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    scaling = ' preserveAspectRatio="none"' if kind == "strip" else ""
    return Markup(  # noqa: S704 - what is not of ours was escaped where it was put in.
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"{scaling}>'
        f"{''.join(parts)}</svg>"
    )
