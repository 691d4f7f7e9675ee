"""Where our figures of a results matrix and Avalanche's coincide, and where they differ: both are fed the same counts.

    python benchmarks/avalanche_metrics.py

The library gets its own virtual environment under `--work`, made on the first run. Its plugins are led through the
hooks of a training, with batches of as many right and wrong predictions as the matrix says. Matrices: the one worked
through in docs/metrics.md, and random ones, whole and with a third of the cells unmeasured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import numpy.typing as npt
import torch
from peer_process import PeerProcess, peer_python

from portfolio.reports import metrics

Array = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
SCRIPT = Path(__file__).parent / "peers" / "avalanche_metrics_peer.py"
CACHE = Path.home() / ".cache" / "adapter-portfolio"
AVALANCHE = "avalanche-lib==0.6.0"
UNMEASURED = -1  # instead of a count
SAME = 1e-12  # differences up to this are rounding


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many test rows were right; UNMEASURED where nobody asked."""

    right: Int64  # (T, T)
    untrained: Int64  # (T,), before the first step
    rows: Int64  # (T,)

    @property
    def results(self) -> Array:
        """R: (T, T)"""
        return np.where(self.right == UNMEASURED, np.nan, self.right / self.rows)

    @property
    def baseline(self) -> Array:
        """b: (T,)"""
        scores: Array = self.untrained / self.rows
        return scores

    def question(self) -> dict[str, list[int] | list[list[int | None]]]:
        right = [[None if count == UNMEASURED else int(count) for count in row] for row in self.right]
        return {"right": right, "untrained": self.untrained.tolist(), "rows": self.rows.tolist()}


EXAMPLE = Counts(
    right=np.array([[16, 6, 4], [18, 17, 8], [14, 18, 15]]),
    untrained=np.array([2, 4, 5]),
    rows=np.array([20, 20, 20]),
)
FIGURES: tuple[tuple[str, str, Callable[[Counts], float | None]], ...] = (
    ("average_accuracy", "StreamAccuracy", lambda given: metrics.average_accuracy(given.results)),
    (
        "micro_average_accuracy",
        "StreamAccuracy",
        lambda given: metrics.micro_average_accuracy(given.results, given.rows),
    ),
    ("bwt", "StreamBWT", lambda given: metrics.bwt(given.results)),
    ("forgetting", "StreamForgetting", lambda given: metrics.forgetting(given.results)),
    ("-bwt", "StreamForgetting", lambda given: _negative(metrics.bwt(given.results))),
    ("fwt", "StreamForwardTransfer", lambda given: metrics.fwt(given.results, given.baseline)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=CACHE, help="keeps the library's environment from run to run")
    parser.add_argument("--matrices", type=int, default=200, help="random matrices of each kind")
    settings = parser.parse_args()
    generator = np.random.default_rng(0)
    whole = [_random_counts(generator, unmeasured=0.0) for _ in range(settings.matrices)]
    sparse = [_random_counts(generator, unmeasured=1 / 3) for _ in range(settings.matrices)]
    python = peer_python(settings.work, AVALANCHE, f"torch=={torch.__version__.partition('+')[0]}")
    peer = PeerProcess("Avalanche", [str(python), "-W", "ignore", str(SCRIPT)])
    try:
        print(", ".join(f"{name} {version}" for name, version in peer.hello["versions"].items()))
        print(_table(peer, whole, sparse))
    finally:
        peer.close()


def _random_counts(generator: np.random.Generator, unmeasured: float) -> Counts:
    """2 to 12 tasks of 20 to 400 test rows, any scores; each cell unmeasured with that probability."""
    tasks = int(generator.integers(2, 13))
    rows = generator.integers(20, 401, tasks)
    right = generator.integers(0, rows + 1, (tasks, tasks))
    right[generator.random((tasks, tasks)) < unmeasured] = UNMEASURED
    return Counts(right=right, untrained=generator.integers(0, rows + 1), rows=rows)


def _table(peer: PeerProcess, whole: Sequence[Counts], sparse: Sequence[Counts]) -> str:
    """Markdown: the example's values, and the largest differences over the random matrices."""
    example, *answers = (peer.ask(given.question()) for given in (EXAMPLE, *whole, *sparse))
    of_whole, of_sparse = answers[: len(whole)], answers[len(whole) :]
    lines = [
        "| ours | Avalanche | example: ours | example: Avalanche "
        f"| {len(whole)} whole matrices | {len(sparse)} with unmeasured cells |",
        "|---|---|---|---|---|---|",
    ]
    for ours, theirs, figure in FIGURES:
        values = f"{figure(EXAMPLE):.6f} | {example[theirs]:.6f}"
        differences = (
            _largest([figure(given) for given in matrices], [answer[theirs] for answer in said])
            for matrices, said in ((whole, of_whole), (sparse, of_sparse))
        )
        lines.append(f"| `{ours}` | `{theirs}` | {values} | {' | '.join(differences)} |")
    return "\n".join(lines)


def _largest(ours: Sequence[float | None], theirs: Sequence[float]) -> str:
    """In words, the largest difference, and how often theirs is 0 where ours is not defined."""
    differences = [abs(one - other) for one, other in zip(ours, theirs, strict=True) if one is not None]
    undefined = [other for one, other in zip(ours, theirs, strict=True) if one is None]
    assert not any(undefined), "a figure of nothing that is not 0"
    apart = sum(difference > SAME for difference in differences)
    said = f"differ in {apart}, by up to {max(differences):.3f}" if apart else "the same"
    return said + (f"; 0 for undefined in {len(undefined)}" if undefined else "")


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


if __name__ == "__main__":
    main()
