"""What the benchmarks of speed share: the machine, rounds in changing order, and how spreads are told.

Spreads go from first to third quartile.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.peers.fusion_rig import clock_name

K = TypeVar("K")
T = TypeVar("T")


def machine(threads: int) -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "clock": clock_name(),
        "system": platform.system(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def cpu_name() -> str:
    """As the processor calls itself."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def in_rounds(contestants: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """What each contestant gives in each round. A round before the first warms up and is not kept."""
    given: dict[K, list[T]] = {key: [] for key in contestants}
    order = np.random.default_rng(0)
    keys = list(contestants)
    for number in range(rounds + 1):
        began = time.perf_counter()
        for index in order.permutation(len(keys)):
            one = contestants[keys[index]]()
            if number:
                given[keys[index]].append(one)
        name = f"round {number} of {rounds}" if number else "warm-up"
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return given


def quartiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(f"{value:.4g}") for value in np.percentile(values, (25, 50, 75))]


def spread(three: Sequence[float]) -> str:
    """`1.05 (1.04–1.06)`"""
    low, middle, high = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in three)
    return f"{middle} ({low}–{high})"
