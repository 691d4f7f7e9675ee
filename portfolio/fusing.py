"""Fuse adapters for a task, beside everything simpler that could have done as well (choices.py); the better one is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from portfolio.champions import champions_of
from portfolio.choices import Found, Trials, best_of, compared
from portfolio.composing import load_members, member_of
from portfolio.drafts import Draft, Make, Rows
from portfolio.engine import Engine
from portfolio.hosting.attending import attend, attended_blocks
from portfolio.hosting.ready import Updates
from portfolio.made_of import FUSION, Fuse, find_members
from portfolio.promising import most_promising
from portfolio.records import AdapterRecord, Attention
from portfolio.reports.comparison import comparison_in_words
from portfolio.running import Labelled
from portfolio.training import Progress, TrainingConfig


def fused(wish: Fuse) -> Make:
    """Train a fusion, compare it with what is simpler, and keep what did best, or the fusion where that is wished."""

    def make(engine: Engine, rows: Rows, training: TrainingConfig, progress: Progress) -> tuple[Draft, ...]:
        records = _chosen_members(engine, wish, rows, progress)
        adapters = load_members(engine, records)
        members = [Found(member_of(record), adapter) for record, adapter in zip(records, adapters, strict=True)]
        trials = Trials(host=engine.host, wish=wish, rows=rows, training=training, progress=progress)
        *_, fusion = choices = trials.all_of(members)
        best = fusion if wish.keep == FUSION else best_of(choices)
        comparison = compared(choices, best)
        progress.say(comparison_in_words(comparison))
        kept = replace(best.draft, comparison=comparison)
        if best is not fusion:
            return (kept,)
        kept = replace(kept, attention=_attention(engine, kept, rows))
        [own] = [choice for choice in choices if choice.name == "own"]
        return (own.draft, kept) if wish.with_own else (kept,)

    return make


def _chosen_members(engine: Engine, wish: Fuse, rows: Rows, progress: Progress) -> list[AdapterRecord]:
    """Those that were named, or the most promising."""
    snapshot = engine.refresh().snapshot
    if wish.wanted is None:
        return list(find_members(snapshot, wish.adapters))
    plain = [adapter for adapter in champions_of(snapshot).values() if not adapter.members]
    chosen = most_promising(engine, plain, rows.train, len(rows.labels), wish.wanted)
    progress.say(f"the most promising members: {', '.join(str(one.ref) for one in chosen)}")
    return chosen


# What is told of them


def _attention(engine: Engine, draft: Draft, rows: Rows) -> Attention:
    """What the fusion attends to on the judging rows, on average and by label."""
    updates, judging = draft.passes[0].updates, rows.judging
    seen = _attended(engine, updates, judging)  # (rows, blocks, members)
    numbers = judging.labels.tolist()
    by_label = {
        label: seen[[row for row, number in enumerate(numbers) if number == index]].mean(0)
        for index, label in enumerate(rows.labels)
        if index in numbers
    }
    return Attention(
        members=tuple(str(member.ref) for member in draft.members),
        blocks=attended_blocks(updates),
        rows=len(seen),
        mean=_as_tuples(seen.mean(0)),
        labels=tuple(by_label),
        by_label=tuple(_as_tuples(mean) for mean in by_label.values()),
    )


def _attended(engine: Engine, updates: Updates, data: Labelled, batch_rows: int = 64) -> Tensor:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(data.prepared), batch_rows):
            batch, trunk = data.prepared.batch(engine.host, range(start, min(start + batch_rows, len(data.prepared))))
            parts.append(attend(engine.host, updates, batch, trunk).cpu())
    return torch.cat(parts)


def _as_tuples(mean: Tensor) -> tuple[tuple[float, ...], ...]:
    rounded = np.round(mean.double().numpy(), 6)
    return tuple(tuple(float(share) for share in block) for block in rounded)
