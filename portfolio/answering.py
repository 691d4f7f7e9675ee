"""Texts in, answers out: text → trunk → route → plan → bank → answer.

    P(label | x) = Σ_task P(task | x) · P(label | task, x)

over the router's best `top_k` tasks; with the task given, P(task | x) is 1. One mixed batch serves rows of different
adapters: the bare base runs once for the router, then the blocks above the trunk run once more under the plan, starting from
the trunk's states of the first pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio.engine import Engine, champion_of
from portfolio.errors import NotFound
from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, pad
from portfolio.hosting.plan import Trunk
from portfolio.hosting.trunk import BATCH_ROWS, BATCH_TOKENS
from portfolio.records import AdapterRecord, Answer, Route, Snapshot
from routing.router import CentroidRouter, Decision

GIVEN = "the task was given"


@dataclass(frozen=True, slots=True)
class _Roster:
    """Who answers for each task, and with which labels."""

    champions: Mapping[str, AdapterRecord]
    labels: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Roster:
        newest_last = sorted(snapshot.adapters, key=lambda adapter: adapter.version)
        return cls({one.task: one for one in newest_last}, {task.name: task.labels for task in snapshot.tasks})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One row of the second pass: which row of the batch, under which adapter, with which weight."""

    row: int
    adapter: AdapterRecord
    weight: float  # P(task | x)


def answer(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    task: str | None = None,
    top_k: int = 1,
    abstain: bool = True,
) -> list[Answer]:
    """One answer a text, in order.

    Args:
        task: answer for this task, without the router.
        top_k: mix the answers of so many tasks.
        abstain: leave what no task knows to nobody; otherwise every text gets an answer.

    Raises:
        NotFound: no such task, or no task at all.
    """
    now = engine.refresh()
    snapshot, router = now.snapshot, now.router
    if router is None:
        raise NotFound("this portfolio has no task yet; add one with: portfolio add-task NAME --train FILE")
    given = None if task is None else champion_of(snapshot, task)
    roster = _Roster.of(snapshot)
    encoded = engine.encode(texts, pairs)
    answers: list[Answer | None] = [None] * len(texts)
    with torch.inference_mode():
        for rows in batches_of_like_length([len(row.ids) for row in encoded], BATCH_ROWS, BATCH_TOKENS):
            some, said = [encoded[row] for row in rows], [texts[row] for row in rows]
            if given is not None:
                made = _answer_given(engine, some, said, roster, given)
            else:
                made = _answer_routed(engine, router, some, said, roster, top_k, abstain)
            for row, one in zip(rows, made, strict=True):
                answers[row] = one
    return [one for one in answers if one is not None]


def _answer_given(
    engine: Engine, encoded: Sequence[Encoded], texts: Sequence[str], roster: _Roster, adapter: AdapterRecord
) -> list[Answer]:
    batch = pad(encoded, engine.host.base.pad_id)
    asked = [_Asked(row, adapter, 1.0) for row in range(len(texts))]
    route = Route(tasks=(adapter.task,), scores=(1.0,), margin=1.0, reason=GIVEN)
    probabilities = _ask(engine, batch, None, asked)
    return [
        _answer_of(text, route, [(one, probabilities[one.row])], roster) for text, one in zip(texts, asked, strict=True)
    ]


def _answer_routed(
    engine: Engine,
    router: CentroidRouter,
    encoded: Sequence[Encoded],
    texts: Sequence[str],
    roster: _Roster,
    top_k: int,
    abstain: bool,
) -> list[Answer]:
    batch = pad(encoded, engine.host.base.pad_id)
    bare = engine.host.run(batch)
    decisions = router.route(bare.features.numpy(), top_k=top_k)
    asked = [
        _Asked(row, roster.champions[task], score)
        for row, decision in enumerate(decisions)
        if not (abstain and decision.abstain)
        for task, score in zip(decision.tasks, decision.scores, strict=True)
    ]
    probabilities = _ask(engine, batch, bare.trunk, asked)
    by_row: list[list[tuple[_Asked, Tensor]]] = [[] for _ in texts]
    for index, one in enumerate(asked):
        by_row[one.row].append((one, probabilities[index]))
    return [
        _answer_of(text, _route_of(decision), opinions, roster)
        for text, decision, opinions in zip(texts, decisions, by_row, strict=True)
    ]


def _ask(engine: Engine, batch: Batch, trunk: Trunk | None, asked: Sequence[_Asked]) -> Tensor:
    """(asked, labels): P(label | task, x), one pass above the trunk for all of them."""
    if not asked:
        return torch.empty(0, 0)
    service = engine.service([one.adapter for one in asked])
    rows = torch.tensor([one.row for one in asked])
    some = batch.select(rows)
    passed = engine.host.run(some, service.plan, trunk=None if trunk is None else trunk.select(rows))
    return torch.softmax(service.heads.logits(passed.features), dim=1)


def _answer_of(text: str, route: Route, opinions: Sequence[tuple[_Asked, Tensor]], roster: _Roster) -> Answer:
    """Add the tasks' opinions up, label by label; the task that says most for the winning label is the one named."""
    if not opinions:
        return Answer(text=text, label=None, probability=None, task=None, adapter=None, abstained=True, route=route)
    total: dict[str, float] = {}
    best: dict[str, tuple[float, AdapterRecord]] = {}
    for one, probabilities in opinions:
        for label, probability in zip(roster.labels[one.adapter.task], probabilities.tolist(), strict=False):
            share = one.weight * probability
            total[label] = total.get(label, 0.0) + share
            if label not in best or share > best[label][0]:
                best[label] = (share, one.adapter)
    winner = max(total, key=lambda label: total[label])
    adapter = best[winner][1]
    return Answer(
        text=text,
        label=winner,
        probability=total[winner],
        task=adapter.task,
        adapter=str(adapter.ref),
        abstained=False,
        route=route,
    )


def _route_of(decision: Decision) -> Route:
    return Route(tasks=decision.tasks, scores=decision.scores, margin=decision.margin, reason=decision.reason)
