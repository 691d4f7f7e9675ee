"""Texts in, answers out: text → trunk → route → plan → bank → answer.

    P(label | x) = Σ_task P(task | x) · P(label | task, x)

over the tasks of the route; with the task given, P(task | x) is 1. Where labels are shared, equal labels of different tasks
add up; otherwise each task's labels are its own. One mixed batch serves rows of different adapters, and starts from what the
router's look already made of the trunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from portfolio.champions import champions_of
from portfolio.choosing import Chooser, Wanted
from portfolio.engine import Engine, Moment
from portfolio.errors import NotFound
from portfolio.hosting.attending import attend, attended_blocks
from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, pad
from portfolio.hosting.plan import Trunk
from portfolio.hosting.ready import AS_LEARNED, Variation
from portfolio.hosting.trunk import BATCH_ROWS, BATCH_TOKENS
from portfolio.loading import load_passes
from portfolio.records import BARE_BASE, AdapterRecord, Answer, Route, Snapshot
from portfolio.refs import require_known
from portfolio.varying import variations_of
from routing.rules import Rules
from routing.sessions import Sessions

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roster:
    """Who answers for each task, and with which labels."""

    champions: Mapping[str, AdapterRecord]
    labels: Mapping[str, tuple[str, ...]]
    are_shared: bool  # equal labels of different tasks mean the same
    fallback: str | None
    variations: Mapping[str, Variation]  # by digest: how the members of an adapter are to count
    is_explained: bool  # how much fusions attend to each member is wanted, too

    @classmethod
    def of(cls, snapshot: Snapshot, wanted: Wanted) -> _Roster:
        champions = champions_of(snapshot)
        answering = [one for one in champions.values() if wanted.task in (None, one.task)]
        wishes = None if snapshot.router is None else snapshot.router.wishes
        return cls(
            champions=champions,
            variations=variations_of(answering, wanted.drop, wanted.member_weights),
            is_explained=wanted.explain,
            labels={task.name: task.labels for task in snapshot.tasks},
            are_shared=wishes is not None and wishes.shared_labels,
            fallback=None if wishes is None else wishes.fallback,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One row of the adapters' pass: which row of the batch, under which adapter, with which weight."""

    row: int
    adapter: AdapterRecord
    weight: float  # P(task | x)


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What one task says to one row."""

    asked: _Asked
    probabilities: Tensor  # (labels,), P(label | task, x)
    likeliest: int  # the number of the likeliest label
    probability: float  # of that one
    passes: int  # above the trunk; of an ensemble one a member
    attention: tuple[tuple[str, float], ...]  # of a fusion: its members and how much it attends to each


def answer(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    rules: Rules,
    sessions: Sessions,
    wanted: Wanted,
) -> list[Answer]:
    """One answer a text, in order, all under the portfolio as it is now.

    Raises:
        NotFound: no task at all, or not the one that is wanted, which may have gone since it was last asked.
        ConfigError: rules or tags that cannot be.
    """
    now = engine.refresh()
    chooser, roster = _chooser(engine, now, rules, sessions, wanted), _Roster.of(now.snapshot, wanted)

    def answers(batch: Batch, said: Sequence[str]) -> list[Answer]:
        chosen = chooser.choose(batch)
        return _answers(engine, batch, chosen.trunk, said, chosen.routes, roster)

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
    chooser = _chooser(engine, engine.refresh(), rules, sessions, wanted)
    return _in_batches(engine, texts, pairs, wanted, lambda batch, said: list(chooser.choose(batch).routes))


def _chooser(engine: Engine, now: Moment, rules: Rules, sessions: Sessions, wanted: Wanted) -> Chooser:
    if wanted.task is not None:
        require_known(wanted.task, [task.name for task in now.snapshot.tasks])
    if now.router is None:
        raise NotFound("this portfolio has no task yet; add one with: portfolio add-task NAME --train FILE")
    return Chooser(engine, now, now.router, rules, sessions, wanted)


def _in_batches(
    engine: Engine,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    wanted: Wanted,
    work: Callable[[Batch, Sequence[str]], Sequence[_Made]],
) -> list[_Made]:
    """What `work` makes of every text, in order."""
    encoded = engine.encode(texts, pairs)
    made: dict[int, _Made] = {}
    with torch.inference_mode():
        for rows in _batches(encoded, in_order=wanted.session is not None):
            batch = pad([encoded[row] for row in rows], engine.host.base.pad_id)
            made.update(zip(rows, work(batch, [texts[row] for row in rows]), strict=True))
    return [made[row] for row in range(len(texts))]


def _batches(encoded: Sequence[Encoded], in_order: bool) -> Iterator[list[int]]:
    """Row numbers; the turns of a session stay in order, others are put together by length."""
    if in_order:
        for start in range(0, len(encoded), BATCH_ROWS):
            yield list(range(start, min(start + BATCH_ROWS, len(encoded))))
    else:
        yield from batches_of_like_length([len(row.ids) for row in encoded], BATCH_ROWS, BATCH_TOKENS)


def _answers(
    engine: Engine, batch: Batch, trunk: Trunk | None, texts: Sequence[str], routes: Sequence[Route], roster: _Roster
) -> list[Answer]:
    """Run the adapters that the routes name, all in one pass, and put together what they say."""
    asked = [
        _Asked(row, roster.champions[task], score)
        for row, route in enumerate(routes)
        if not route.abstained and not _is_bare(route, roster)
        for task, score in zip(route.tasks, route.scores, strict=True)
    ]
    probabilities, passes = _ask(engine, batch, trunk, asked, roster)
    attention = _attention(engine, batch, trunk, asked, roster) if roster.is_explained else {}
    spent = Counter(passes)
    opinions: list[list[_Opinion]] = [[] for _ in routes]
    for index, (one, most, label) in enumerate(zip(asked, *_likeliest(probabilities), strict=True)):
        said = _Opinion(one, probabilities[index], label, most, spent[index], attention.get(index, ()))
        opinions[one.row].append(said)
    upper = len(engine.host.blocks) - engine.host.trunk
    lower = engine.host.trunk if trunk is None else 0  # not run for the router's sake
    return [
        _answer_of(text, _spent(route, upper * sum(one.passes for one in said) + (lower if said else 0)), said, roster)
        for text, route, said in zip(texts, routes, opinions, strict=True)
    ]


def _is_bare(route: Route, roster: _Roster) -> bool:
    """Whether the bare base answers, as the fallback."""
    return route.decided_by == "fallback" and roster.fallback == BARE_BASE


def _spent(route: Route, blocks: int) -> Route:
    return replace(route, block_evaluations=route.block_evaluations + blocks)


def _ask(
    engine: Engine, batch: Batch, trunk: Trunk | None, asked: Sequence[_Asked], roster: _Roster
) -> tuple[Tensor, tuple[int, ...]]:
    """P(label | task, x) as (asked, labels), one pass above the trunk for all; and whose pass each row of it was."""
    if not asked:
        return torch.empty(0, 0), ()
    service = engine.service([one.adapter for one in asked], roster.variations)
    rows = torch.tensor([asked[row].row for row in service.rows])
    some = batch.select(rows)
    passed = engine.host.run(some, service.plan, trunk=None if trunk is None else trunk.select(rows))
    probabilities = torch.softmax(service.heads.logits(passed.features), dim=1).cpu()
    if len(service.rows) > len(asked):  # an ensemble's members are averaged
        weighed = probabilities * torch.tensor(service.weights)[:, None]
        probabilities = weighed.new_zeros(len(asked), weighed.shape[1]).index_add(
            0, torch.tensor(service.rows), weighed
        )
    return probabilities, service.rows


def _attention(
    engine: Engine, batch: Batch, trunk: Trunk | None, asked: Sequence[_Asked], roster: _Roster
) -> dict[int, tuple[tuple[str, float], ...]]:
    """For each asked row that a fusion answers: its members, those it attends to most first. One more pass a fusion."""
    attention: dict[int, tuple[tuple[str, float], ...]] = {}
    fusions = {one.adapter.digest: one.adapter for one in asked if one.adapter.attention is not None}
    for digest, record in fusions.items():
        passes = load_passes(engine.store, record, roster.variations.get(digest, AS_LEARNED), host=engine.host)
        if not attended_blocks(passes[0].updates):
            continue  # constant weights are wanted: nothing is attended to
        places = [place for place, one in enumerate(asked) if one.adapter.digest == digest]
        rows = torch.tensor([asked[place].row for place in places])
        upper = None if trunk is None else trunk.select(rows)
        seen = attend(engine.host, passes[0].updates, batch.select(rows), upper).mean(1)  # (some, members)
        for place, shares in zip(places, seen.tolist(), strict=True):
            named = zip((str(member.ref) for member in record.members), shares, strict=True)
            attention[place] = tuple(sorted(named, key=lambda one: -one[1]))
    return attention


def _likeliest(probabilities: Tensor) -> tuple[list[float], list[int]]:
    """For each row its highest probability, and where it is first; of no rows none."""
    if not len(probabilities):
        return [], []
    most, where = probabilities.max(dim=1)
    return most.tolist(), where.tolist()


def _answer_of(text: str, route: Route, opinions: Sequence[_Opinion], roster: _Roster) -> Answer:
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
        return _answered(
            text,
            route,
            said,
            roster.labels[said.asked.adapter.task][said.likeliest],
            said.asked.weight * said.probability,
        )
    total: dict[tuple[str, str], float] = {}
    best: dict[tuple[str, str], tuple[float, _Opinion]] = {}
    for opinion in opinions:
        task = opinion.asked.adapter.task
        for label, probability in zip(roster.labels[task], opinion.probabilities.tolist(), strict=False):
            meaning = ("" if roster.are_shared else task, label)
            share = opinion.asked.weight * probability
            total[meaning] = total.get(meaning, 0.0) + share
            if meaning not in best or share > best[meaning][0]:
                best[meaning] = (share, opinion)
    winner = max(total, key=lambda meaning: total[meaning])
    return _answered(text, route, best[winner][1], winner[1], total[winner])


def _answered(text: str, route: Route, by: _Opinion, label: str, probability: float) -> Answer:
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
