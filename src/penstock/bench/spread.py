"""Figures of several runs as columns of a table."""

from collections.abc import Sequence
from statistics import median, quantiles

from penstock.bench.report import Row


def spread(figures: Sequence[float]) -> Row:
    """Return the median and the extremes."""
    return {"median": median(figures), "least": min(figures), "most": max(figures), "runs": len(figures)}


def percentiles(figures: Sequence[float]) -> Row:
    """Return the median, and what a tenth and a hundredth of many figures exceed."""
    hundredths = quantiles(figures, n=100, method="inclusive")
    return {"median": median(figures), "90 %": hundredths[89], "99 %": hundredths[98], "most": max(figures)}
