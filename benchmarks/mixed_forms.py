"""At one site, are a batch's adapters better gathered or grouped? The measurements behind docs/decisions/0012-mixed-batches.md.

    python benchmarks/mixed_forms.py

Prints milliseconds of processor time of both forms for batches of many shapes, and which of them a plan would take. Both are
the code that serves: only the choice between them is taken out of its hands.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import product
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch

from portfolio.hosting import per_row
from portfolio.hosting.groups import Pairs, is_better_grouped, pairs_of
from portfolio.hosting.pages import Leases
from portfolio.hosting.per_row import PerRow
from portfolio.hosting.picks import Picks

WIDTH = 384
BATCHES = ((64, 13), (32, 32), (64, 64))  # rows, tokens
RANKS = (8, 16, 48, 96, 256)
ADAPTERS = (2, 8, 32)
MIXED = (1, 2)  # adapters a row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(
        "| rows × tokens | rank | adapters | a row | gathered, ms | grouped, ms | chosen |\n|---|---|---|---|---|---|---|"
    )
    for (rows, tokens), rank, adapters, mixed in product(BATCHES, RANKS, ADAPTERS, MIXED):
        update = _update(rows, rank, adapters, mixed)
        y, x = torch.randn(rows, tokens, WIDTH), torch.randn(rows, tokens, WIDTH)
        gathered, grouped = (_milliseconds(update, y, x, is_grouped, rounds) for is_grouped in (False, True))
        chosen = "grouped" if _is_grouped(update.picks.pairs, rows, tokens, rank) else "gathered"
        print(f"| {rows} × {tokens} | {rank} | {adapters} | {mixed} | {gathered:.2f} | {grouped:.2f} | {chosen} |")


def _update(rows: int, rank: int, adapters: int, mixed: int) -> PerRow:
    draw = np.random.default_rng(0)
    pairs, refs = pairs_of([[str(a) for a in draw.choice(adapters, mixed, replace=False)] for _ in range(rows)])
    return PerRow(
        down=torch.randn(1 + adapters * rank, WIDTH),
        down_bias=None,
        up=torch.randn(1 + adapters * rank, WIDTH),
        activation="relu",
        picks=Picks(
            rows=np.array([1 + int(ref) * rank + np.arange(rank) for ref in refs]),
            pairs=pairs,
            device=torch.device("cpu"),
        ),
        weights=None,
        lease=Leases().take(),
    )


def _milliseconds(update: PerRow, y: torch.Tensor, x: torch.Tensor, is_grouped: bool, rounds: int) -> float:
    times = []
    with torch.inference_mode(), patch.object(per_row, "is_better_grouped", lambda **sizes: is_grouped):
        for _ in range(rounds + 2):  # the first two warm up
            began = time.process_time()
            update.add_to(y, x)
            times.append(time.process_time() - began)
    return 1000 * statistics.median(times[2:])


def _is_grouped(pairs: Pairs, rows: int, tokens: int, rank: int) -> bool:
    return is_better_grouped(
        batch=rows,
        mixed=pairs.of_row.shape[1],
        pairs=len(pairs.row),
        adapters=len(pairs.members),
        most=pairs.members.shape[1],
        time=tokens,
        rank=rank,
        both=2 * WIDTH,
        out=WIDTH,
    )


if __name__ == "__main__":
    main()
