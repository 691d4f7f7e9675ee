"""Texts in, answers out: text → trunk → route → plan → bank → answer.

    P(label | x) = Σ_task P(task | x) · P(label | task, x)

over the tasks of the route; with the task given, P(task | x) is 1. Where labels are shared, equal labels of different tasks
add up; otherwise each task's labels are its own. Who answers for a task is its champion, or for a share of the inputs a
challenger that is tried (trying.py); a call, or a window of a stream, ends with those that it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from portfolio.choosing import Chooser, Chosen, Wanted
from portfolio.engine import Engine, Moment, who_may_answer
from portfolio.errors import NotFound
from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, cut_by_padding, pad
from portfolio.hosting.ready import Variation
from portfolio.hosting.trunk import BATCH_ROWS, BATCH_TOKENS
from portfolio.opinions import Asked, Opinion, opinions_of
from portfolio.records import AdapterRecord, Answer, Route
from portfolio.refs import require_known
from portfolio.tally import Tally
from portfolio.traffic import CANARY, Tried
from portfolio.trying import Takes, counted_canaries, counted_shadows
from portfolio.varying import variations_of
from routing.rules import Rules
from routing.sessions import Sessions

A_BATCH_MORE = 150  # padded tokens that must be saved for one: docs/decisions/0014-streaming.md

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roster:
    """Who answers for each task, and with which labels."""

    champions: Mapping[str, AdapterRecord]
    labels: Mapping[str, tuple[str, ...]]  # of the champions, by task
    tried: Mapping[str, Tried]  # beside them
    are_shared: bool  # equal labels of different tasks mean the same
    variations: Mapping[str, Variation]  # by digest: how the members of an adapter are to count
    is_explained: bool  # how much fusions attend to each member is wanted, too

    @classmethod
    def of(cls, now: Moment, wanted: Wanted) -> _Roster:
        answering = who_may_answer(now.champions, now.tried)
        router = now.snapshot.router
        return cls(
            champions=now.champions,
            labels=now.labels,
            tried=now.tried,
            are_shared=router is not None and router.wishes.shared_labels,
            variations=variations_of(
                (one for one in answering if wanted.task in (None, one.task)), wanted.drop, wanted.member_weights
            ),
            is_explained=wanted.explain,
        )

    def asked(self, row: int, task: str, weight: float, takes: Takes) -> Asked:
        """Who answers for a task: its challenger if it is tried on this row, else its champion."""
        tried = self.tried.get(task)
        if tried is not None and tried.traffic.mode == CANARY and takes(tried, row):
            return Asked(row, tried.challenger, tried.labels, weight)
        return Asked(row, self.champions[task], self.labels[task], weight)


def answer(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    rules: Rules,
    sessions: Sessions,
    wanted: Wanted,
    tally: Tally,
) -> list[Answer]:
    """One answer a text, in order, all under the portfolio as it is now.

    Args:
        tally: counts what challengers and champions say, where challengers are tried.

    Raises:
        NotFound: no task at all, or not the one that is wanted, which may have gone since it was last asked.
        ConfigError: rules or tags that cannot be.
    """
    now = engine.refresh()
    chooser, roster = _chooser(engine, now, rules, sessions, wanted, answers=True), _Roster.of(now, wanted)

    def answers(batch: Batch, rows: Sequence[int]) -> list[Answer]:
        def takes(one: Tried, row: int) -> bool:
            return one.takes(wanted.session, texts[rows[row]], None if pairs is None else pairs[rows[row]])

        return _answers(engine, batch, [texts[row] for row in rows], chooser.choose(batch), roster, takes, tally)

    return _in_batches(engine, texts, pairs, wanted, answers)


def route(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    rules: Rules,
    sessions: Sessions,
    wanted: Wanted,
) -> list[Route]:
    """Where each text would go, in order; no adapter is run. Raises as `answer` does."""
    chooser = _chooser(engine, engine.refresh(), rules, sessions, wanted, answers=False)
    return _in_batches(engine, texts, pairs, wanted, lambda batch, _: list(chooser.choose(batch).routes))


def _chooser(
    engine: Engine, now: Moment, rules: Rules, sessions: Sessions, wanted: Wanted, *, answers: bool
) -> Chooser:
    if wanted.task is not None:
        require_known(wanted.task, [task.name for task in now.snapshot.tasks])
    if now.router is None:
        raise NotFound("this portfolio has no task yet; add one with: portfolio add-task NAME --train FILE")
    return Chooser(engine, now, now.router, rules, sessions, wanted, answers=answers)


def _in_batches(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    wanted: Wanted,
    work: Callable[[Batch, Sequence[int]], Sequence[_Made]],
) -> list[_Made]:
    """What `work` makes of every text, in order; it is given a batch, and the numbers of its texts."""
    encoded = engine.encode(texts, pairs)
    made: dict[int, _Made] = {}
    with torch.inference_mode():
        for rows in _batches(encoded, in_order=wanted.session is not None, cut=engine.host.device.type == "cpu"):
            batch = pad([encoded[row] for row in rows], engine.host.base.pad_id)
            made.update(zip(rows, work(batch, rows), strict=True))
    return [made[row] for row in range(len(texts))]


def _batches(encoded: Sequence[Encoded], in_order: bool, cut: bool) -> Iterator[list[int]]:
    """Row numbers; turns of a session stay in order, others are put together by length and cut where padding costs time."""
    if in_order:
        for start in range(0, len(encoded), BATCH_ROWS):
            yield list(range(start, min(start + BATCH_ROWS, len(encoded))))
    else:
        lengths = [len(row.ids) for row in encoded]
        for rows in batches_of_like_length(lengths, BATCH_ROWS, BATCH_TOKENS):
            yield from cut_by_padding(rows, lengths, A_BATCH_MORE) if cut else [rows]


def _answers(
    engine: Engine,
    batch: Batch,
    texts: Sequence[str],
    chosen: Chosen,
    roster: _Roster,
    takes: Takes,
    tally: Tally,
) -> list[Answer]:
    """Run the adapters that the routes name, all in one pass, and put together what they say."""
    asked = [
        roster.asked(row, task, score, takes)
        for row, route in enumerate(chosen.routes)
        if not route.abstained and row not in chosen.by_base
        for task, score in zip(route.tasks, route.scores, strict=True)
    ]
    trunk, variations = chosen.trunk, roster.variations
    opinions = opinions_of(engine, batch, trunk, asked, variations, explain=roster.is_explained)
    if roster.tried:
        tally.add(counted_canaries(opinions, roster.tried))
        tally.add(counted_shadows(engine, batch, trunk, opinions, roster.tried, takes, variations))
    by_row: list[list[Opinion]] = [[] for _ in texts]
    for said in opinions:
        by_row[said.asked.row].append(said)
    return [
        _answer_of(text, _spent(route, sum(one.blocks for one in said)), said, roster)
        for text, route, said in zip(texts, chosen.routes, by_row, strict=True)
    ]


def _spent(route: Route, blocks: int) -> Route:
    return replace(route, block_evaluations=route.block_evaluations + blocks)


def _answer_of(text: str, route: Route, opinions: Sequence[Opinion], roster: _Roster) -> Answer:
    """Add the tasks' opinions up, label by label; the task that says most for the winning label is the one named."""
    if route.abstained:
        return Answer(text=text, label=None, probability=None, task=None, adapter=None, abstained=True, route=route)
    if not opinions:
        nearest = route.nearest[0]
        return Answer(
            text=text,
            label=nearest.label,
            probability=None,
            task=nearest.task,
            adapter=None,
            abstained=False,
            route=route,
        )
    if len(opinions) == 1:
        [said] = opinions
        return _answered(text, route, said, said.label, said.asked.weight * said.probability)
    total: dict[tuple[str, str], float] = {}
    best: dict[tuple[str, str], tuple[float, Opinion]] = {}
    for opinion in opinions:
        task = opinion.asked.adapter.task
        for label, probability in zip(opinion.asked.labels, opinion.probabilities.tolist(), strict=False):
            meaning = ("" if roster.are_shared else task, label)
            share = opinion.asked.weight * probability
            total[meaning] = total.get(meaning, 0.0) + share
            if meaning not in best or share > best[meaning][0]:
                best[meaning] = (share, opinion)
    winner = max(total, key=lambda meaning: total[meaning])
    return _answered(text, route, best[winner][1], winner[1], total[winner])


def _answered(text: str, route: Route, by: Opinion, label: str, probability: float) -> Answer:
    """The answer that one task is named for."""
    adapter = by.asked.adapter
    return Answer(
        text=text,
        label=label,
        probability=probability,
        task=adapter.task,
        adapter=str(adapter.ref),
        abstained=False,
        route=route,
        attention=by.attention,
    )
