"""Time several ways to do the same, turn by turn in one run, so that a slow moment of the machine meets all of them."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from statistics import median
from time import process_time


def interleaved(arms: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every arm once a round, in random order; what they return (a rate, a time), by arm."""
    found: dict[str, list[float]] = {name: [] for name in arms}
    order = list(arms)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            found[name].append(arms[name]())
    return found


def medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each arm."""
    return {name: median(values) for name, values in found.items()}


def seconds(work: Callable[[], object]) -> float:
    """The processor time that `work` takes, with the collector off for as long."""
    gc.disable()
    try:
        began = process_time()
        work()
        return process_time() - began
    finally:
        gc.enable()
