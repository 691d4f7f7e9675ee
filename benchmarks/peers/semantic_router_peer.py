"""aurelio's semantic-router on ready embeddings; started by `routing_peer.py` in the library's own environment.

Speaks JSON lines: first says who it is, then answers each of

    {"do": "fit", "way": "mean", "train": NPY, "tasks": […], "calibration": NPY, "labels": […, null]}
    {"do": "route", "way": "mean", "features": NPY}
    {"do": "time", "way": "mean", "features": NPY, "repeats": 9}

where the way is how the scores of a route's nearest utterances become one; a router fitted for each way is kept.

Routes are tasks, utterances are training rows, and the encoder hands out embeddings that were computed before. `fit` is
the one of its documentation: the curve from raw scores to probabilities, on labelled queries that the router has not
seen, with null for those of no route; then the documented threshold of one half.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar

import numpy as np
import semantic_router
from pydantic import PrivateAttr
from semantic_router import IndexedRouter, Route
from semantic_router.encoders import DenseEncoder
from semantic_router.utils.logger import logger

THRESHOLD = 0.5  # of a calibrated confidence: more likely right than wrong
ANYTHING = -1e9  # as a threshold: nothing is left out


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the library prints must not mix with the answers
    logger.setLevel("ERROR")
    hello = {"semantic-router": semantic_router.__version__, "numpy": np.__version__}
    print(json.dumps({"versions": hello}), file=answers, flush=True)
    peers: dict[str, Peer] = {}
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if asked["do"] == "fit":
            peers[asked["way"]] = Peer(asked)
            answer = peers[asked["way"]].fitted
        else:
            peer, features = peers[asked["way"]], np.load(asked["features"])
            answer = peer.route(features) if asked["do"] == "route" else peer.time(features, asked["repeats"])
        print(json.dumps(answer), file=answers, flush=True)


class Ready(DenseEncoder):
    """An encoder that finds the embedding of a text in a table."""

    type: ClassVar[str] = "ready"
    _table: dict[str, np.ndarray] = PrivateAttr(default_factory=dict)

    def keep(self, prefix: str, features: np.ndarray) -> list[str]:
        """The names under which these rows can now be asked for."""
        names = [f"{prefix} {number}" for number in range(len(features))]
        self._table.update(zip(names, features, strict=True))
        return names

    def __call__(self, docs: Sequence[str]) -> list[Any]:
        return [self._table[text] for text in docs]

    async def acall(self, docs: Sequence[str]) -> list[Any]:
        return self(docs)


class Peer:
    """One fitted router."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._encoder = Ready(name="ready")
        train, tasks = self._encoder.keep("train", np.load(asked["train"])), asked["tasks"]
        routes = [
            Route(name=task, utterances=[name for name, own in zip(train, tasks, strict=True) if own == task])
            for task in dict.fromkeys(tasks)
        ]
        self._router = IndexedRouter(encoder=self._encoder, routes=routes, aggregation=asked["way"])
        queries = self._encoder.keep("calibration", np.load(asked["calibration"]))
        try:
            accuracy = self._router.fit(queries, asked["labels"]).accuracy
        except ValueError as error:  # every query was right, or none: then it states no probabilities
            print(f"semantic-router was not calibrated: {error}", file=sys.stderr)
            accuracy = self._router.evaluate(queries, asked["labels"])
        self._calibrator = self._router.calibrator
        self.fitted = {"bytes": int(self._router.index.index.nbytes), "accuracy": accuracy}

    def route(self, features: np.ndarray) -> dict[str, Any]:
        """The two best routes of each row by raw scores, which calibration never reorders, and what is abstained on."""
        self._router.calibrator = None
        found = self._wait(self._two_best(self._encoder.keep("query", features)))
        self._router.calibrator = self._calibrator
        best = np.array([choices[0].confidence for choices in found])
        probabilities = None if self._calibrator is None else self._calibrator(best)
        second = [choices[1].confidence if len(choices) > 1 else 0.0 for choices in found]
        return {
            "tasks": [choices[0].name for choices in found],
            "scores": best.tolist(),
            "margins": (best - second).tolist(),
            "probabilities": None if probabilities is None else probabilities.tolist(),
            "abstains": None if probabilities is None else (probabilities < THRESHOLD).tolist(),
        }

    def time(self, features: np.ndarray, repeats: int) -> dict[str, Any]:
        """Seconds to route all rows: one by one call, several by calls that are awaited together."""
        names = self._encoder.keep("query", features)
        self._router.confidence_threshold = THRESHOLD
        seconds = []
        for _ in range(repeats + 1):  # the first warms up
            began = time.perf_counter()
            if len(names) == 1:
                self._router(names[0])
            else:
                self._wait(self._best(names))
            seconds.append(time.perf_counter() - began)
        self._router.confidence_threshold = None
        return {"seconds": seconds[1:]}

    async def _two_best(self, names: Sequence[str]) -> list[Any]:
        return list(await asyncio.gather(*(self._router.acall(name, limit=2, threshold=ANYTHING) for name in names)))

    async def _best(self, names: Sequence[str]) -> list[Any]:
        return list(await asyncio.gather(*(self._router.acall(name) for name in names)))

    def _wait(self, work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
        return self._loop.run_until_complete(work)


if __name__ == "__main__":
    main()
