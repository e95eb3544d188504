"""What is done with a line: the same functions for all rivals."""

import os
import time

MICROSECONDS = 10
ROUNDS = int(os.environ.get("BENCHMARK_ROUNDS", "0"))
"""Rounds of the loop in `work`, as `calibrated_rounds` found them for this run."""


def reverse(line: str) -> str:
    """Return the line reversed."""
    return line[::-1]


def work(line: str) -> str:
    """Reverse a line after about 10 µs of Python."""
    spin(ROUNDS)
    return line[::-1]


def spin(rounds: int) -> int:
    """Add up numbers, so many of them."""
    total = 0
    for number in range(rounds):
        total += number & 7
    return total


def calibrated_rounds() -> int:
    """Return how many rounds take 10 µs on this machine, now."""
    rounds = 200
    # In steps: what a round costs depends a little on how many there are.
    for _ in range(4):
        rounds = max(1, round(rounds * MICROSECONDS * 1e-6 / min(_seconds(rounds) for _ in range(20))))
    return rounds


def _seconds(rounds: int) -> float:
    began = time.process_time()
    for _ in range(1000):
        spin(rounds)
    return (time.process_time() - began) / 1000
