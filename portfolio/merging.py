"""Merge adapters in weight space for a task, and say how that does beside the members as they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from portfolio.choices import Found, Trials, compared
from portfolio.composing import closed_head, load_members, member_of
from portfolio.drafts import Draft, Make, Rows
from portfolio.engine import Engine
from portfolio.hosting.host import Host
from portfolio.hosting.merging import merge_adapters, merger_named
from portfolio.hosting.ready import passes_of, shared
from portfolio.hosting.weights import AdapterWeights, Head, placed
from portfolio.made_of import Fuse, Merge, find_members
from portfolio.reports.comparison import comparison_in_words
from portfolio.training import Progress, TrainingConfig


def merged(wish: Merge) -> Make:
    """One plain adapter put together in weight space, under a head in closed form; its members may go afterwards.

    Nothing is trained. Beside it are measured the best single member and all of them in equal shares; the merge is kept.
    """

    def make(engine: Engine, rows: Rows, training: TrainingConfig, progress: Progress) -> tuple[Draft, ...]:
        records = find_members(engine.refresh().snapshot, wish.adapters)
        adapters = load_members(engine, records)
        members = [Found(member_of(record), adapter) for record, adapter in zip(records, adapters, strict=True)]
        fuse = Fuse(adapters=wish.adapters)
        trials = Trials(host=engine.host, wish=fuse, rows=rows, training=training, progress=progress)
        draft = _merge(engine.host, wish, members, rows, training.seed)
        for note in draft.notes:
            progress.say(note)
        kept = trials.judged("merge", draft.notes[0], draft)
        best, _ = trials.best_member(members)
        comparison = compared([best, trials.constant("uniform", members), kept], kept)
        progress.say(comparison_in_words(comparison))
        return (replace(kept.draft, comparison=comparison),)

    return make


def _merge(host: Host, wish: Merge, members: Sequence[Found], rows: Rows, seed: int) -> Draft:
    began = time.perf_counter()
    adapters = [placed(one.adapter, torch.device("cpu")) for one in members]  # drawn and decomposed there
    merger, generator = merger_named(wish.how, dict(wish.settings)), torch.Generator().manual_seed(seed)
    made = merge_adapters(adapters, wish.weights, merger, generator)
    without = AdapterWeights(config=made.config, sites=made.sites, head=Head(torch.empty(0), torch.empty(0)))
    bare = placed(without, host.device)
    head = closed_head(host, shared(bare.updates()), rows, [adapter.head for adapter in adapters])
    adapter = replace(bare, head=head)
    parts = ", ".join(f"{one.member.ref}:{weight:g}" for one, weight in zip(members, wish.weights, strict=True))
    notes = [f"merged from {parts} by {wish.how}; nothing but the head was learned"]
    if made.error:
        notes.append(f"cutting the rank left out {made.error:.1%} of the update at the worst site")
    return Draft(
        adapter=adapter,
        passes=passes_of(adapter),
        validation_score=0.0,
        seconds=time.perf_counter() - began,
        notes=tuple(notes),
    )
