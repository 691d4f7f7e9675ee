"""aurelio's semantic-router as a contestant: it runs in a process and a virtual environment of its own.

The environment is made on the first run, from the package index. Embeddings go over as .npy files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.peer_process import PeerProcess, peer_python
from benchmarks.routing_contestants import Fitted, Float64, Routed
from benchmarks.routing_data import Float32
from benchmarks.routing_problems import Problem

REQUIREMENT = "semantic-router==1.1.1"
AS_IT_COMES = ("mean",)  # how the scores of a route's utterances become one; the library's default
ALL_WAYS = ("mean", "max", "sum")
_SCRIPT = Path(__file__).parent / "peers" / "semantic_router_peer.py"


class Library:
    """The library in its own process, with a folder for the features that go over."""

    def __init__(self, work: Path, threads: int) -> None:
        """Args: work: a directory that keeps the environment from run to run."""
        self._exchange = TemporaryDirectory()
        command = [str(peer_python(work, REQUIREMENT)), str(_SCRIPT)]
        self._process = PeerProcess("semantic-router", command, _variables(threads))
        self.versions: dict[str, str] = self._process.hello["versions"]

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()
        self._exchange.cleanup()

    def file(self, name: str, features: Float32) -> str:
        """Where these features now lie."""
        path = Path(self._exchange.name) / f"{name}.npy"
        np.save(path, features)
        return str(path)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        return self._process.ask(question)


class SemanticRouter:
    """Routes are tasks, utterances are training texts, `fit` as its documentation says."""

    def __init__(self, process: Library, ways: Sequence[str], most_rows: int | None) -> None:
        """
        Args:
            ways: to bring the scores of a route's utterances together; the one that is best on the calibration rows.
            most_rows: of each kind that it routes, as each takes tens of milliseconds; None for all.
        """
        self._process = process
        self._ways = tuple(ways)
        self.most_rows: int | None = most_rows
        version = process.versions["semantic-router"]
        self.name = f"semantic-router {version}" + ("" if len(ways) == 1 else ", aggregation by calibration rows")

    def fit(self, problem: Problem) -> Fitted:
        problem = problem if self.most_rows is None else problem.sampled(self.most_rows)
        kept = _distinct(problem)
        names = np.array(problem.tasks)
        question = {
            "do": "fit",
            "train": self._process.file("train", problem.train.features[kept]),
            "tasks": names[problem.task_of(problem.train)[kept]].tolist(),
            "calibration": self._process.file(
                "calibration", np.concatenate([problem.calibration.features, problem.outside_calibration])
            ),
            "labels": names[problem.task_of(problem.calibration)].tolist() + [None] * len(problem.outside_calibration),
        }
        answers = {way: self._process.ask({**question, "way": way}) for way in self._ways}
        best = max(self._ways, key=lambda way: answers[way]["accuracy"])
        return _FittedPeer(self._process, problem, kept, best, answers[best]["bytes"])


class _FittedPeer:
    def __init__(self, process: Library, problem: Problem, kept: Sequence[int], way: str, index_bytes: int) -> None:
        self._process = process
        self._way = way
        self._number = {name: number for number, name in enumerate(problem.tasks)}
        self.bytes_to_route = index_bytes
        self.bytes_stored = index_bytes + sum(len(problem.train.texts[row].encode()) for row in kept)
        self.texts_kept = len(kept)

    def route(self, features: Float32) -> Routed:
        answer = self._process.ask({"do": "route", "way": self._way, "features": self._process.file("query", features)})
        return Routed(
            tasks=np.array([self._number[name] for name in answer["tasks"]], dtype=np.int64),
            scores=_numbers(answer["scores"]),
            margins=_numbers(answer["margins"]),
            probabilities=None if answer["probabilities"] is None else _numbers(answer["probabilities"]),
            abstains=None if answer["abstains"] is None else np.array(answer["abstains"], dtype=np.bool_),
        )

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        question = {"do": "time", "way": self._way, "features": self._process.file("query", features)}
        seconds: list[float] = self._process.ask({**question, "repeats": repeats})["seconds"]
        return seconds


def _distinct(problem: Problem) -> list[int]:
    """The first training row of each text of each task: the library keeps an utterance of a route once."""
    first: dict[tuple[int, str], int] = {}
    for row, (task, text) in enumerate(zip(problem.task_of(problem.train).tolist(), problem.train.texts, strict=True)):
        first.setdefault((task, text), row)
    return list(first.values())


def _numbers(values: Sequence[float]) -> Float64:
    return np.array(values, dtype=np.float64)


def _variables(threads: int) -> dict[str, str]:
    """This process's, with threads fixed."""
    return dict(os.environ) | {
        name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
