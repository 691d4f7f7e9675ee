"""What a version costs: its sizes, and the time of a batch under it over that under the bare base, and under the champion.

Rounds are interleaved, so that whatever slows the machine down slows all of them, and the median round counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice

import torch

from portfolio.engine import Engine
from portfolio.evidence.versions import Version
from portfolio.gates.evidence import Cost
from portfolio.hosting.encode import Batch, encode, pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan
from portfolio.running import logits_of

ROWS, TOKENS = 32, 32  # of the batch; texts that are shorter stay so
ROUNDS = 7

Run = Callable[[], object]


def cost(
    engine: Engine,
    version: Version,
    champion: Version | None,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> Cost:
    """Sizes as recorded; times measured now.

    Args:
        texts: one at least; as many of them as the batch has rows, from the first again if they are fewer.
        clock: seconds; of this process's processors by default.
    """
    batch = _batch(engine, texts, pairs)
    host = engine.host
    voices = [one for one in (version, champion) if one is not None]
    runs = [lambda: host.run(batch).features.cpu(), *(_run(host, one, batch) for one in voices)]
    base, own, *other = median_times(runs, rounds, clock)
    return Cost(
        bytes=version.record.bytes,
        parameters=version.record.parameters,
        champion_bytes=None if champion is None else champion.record.bytes,
        champion_parameters=None if champion is None else champion.record.parameters,
        base_ratio=own / base,
        champion_ratio=own / other[0] if other else None,
    )


def median_times(runs: Sequence[Run], rounds: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of each, at their median round, one after the other in each round; a round before the first is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for run, taken in zip(runs, times, strict=True):
                begun = clock()
                run()
                taken.append(clock() - begun)
    return [statistics.median(taken[1:]) for taken in times]


def _run(host: Host, version: Version, batch: Batch) -> Run:
    """One batch under a version, as it is answered: the trunk once, each pass above it, and the heads."""

    def run() -> None:
        trunk = None
        for one in version.passes:
            passed = host.run(batch, Plan(one.updates), trunk=trunk)
            trunk = passed.trunk
            logits_of(one.head, passed.features).cpu()

    return run


def _batch(engine: Engine, texts: Sequence[str], pairs: Sequence[str] | None) -> Batch:
    most = min(TOKENS, engine.store.contract.max_tokens)
    encoded = encode(engine.host.base.tokenizer, texts[:ROWS], None if pairs is None else pairs[:ROWS], most)
    return pad(list(islice(cycle(encoded), ROWS)), engine.host.base.pad_id)
