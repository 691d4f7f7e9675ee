"""One batch of texts: routed, with the task given, and through a separate embedding model, against the base alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio import Portfolio
from portfolio.answering import A_BATCH_MORE
from portfolio.champions import champion_of
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Encoded, cut_by_padding, encode, pad

ROUTED, GIVEN, SEPARATE, CUT = "routed", "task given", "separate embedding model", "base alone, cut as ours"
ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is run again and again, and the plain forward pass that it is measured in."""

    portfolio: str
    tasks: int
    texts: str  # what kind
    tokens: float  # of a text, on average
    asked: float  # share of texts that the router looked at twice
    answers: int  # that the portfolio gave, of `ROWS`; nobody answers the others
    base: Callable[[], Tensor]  # of the same batch, tokens to states
    ways: dict[str, Callable[[], object]]


def job_of(name: str, portfolio: Portfolio, kind: str, texts: Sequence[str], plain: Base) -> Job:
    """
    Args:
        texts: `ROWS` of them.
        plain: the same base, without slots.
    """
    engine = portfolio.engine()
    encoded = encode(plain.tokenizer, texts, None, portfolio.contract.max_tokens)
    batch = pad(encoded, plain.pad_id)
    parts = [pad([encoded[place] for place in places], plain.pad_id) for places in _cut(encoded)]
    routes = portfolio.route(texts, abstain=False)
    task = portfolio.tasks()[0].name

    def base() -> Tensor:
        with torch.inference_mode():
            states: Tensor = plain.model(**batch.inputs()).last_hidden_state
        return states

    def cut() -> None:
        with torch.inference_mode():
            for some in parts:
                plain.model(**some.inputs())

    def separate() -> None:
        """The base for an embedding; its adapters' whole pass. Choosing by the embedding is not counted."""
        rows = encode(plain.tokenizer, texts, None, portfolio.contract.max_tokens)
        with torch.inference_mode():
            for places in _cut(rows):
                some = pad([rows[place] for place in places], plain.pad_id)
                engine.host.pool(plain.model(**some.inputs()).last_hidden_state, some)
                [service] = engine.services([adapters[routes[place].tasks[0]] for place in places])
                logits = service.heads.logits(engine.host.run(some, service.plan).features)
                torch.softmax(logits, dim=1).tolist()

    snapshot = portfolio.snapshot()
    adapters = {record.name: champion_of(snapshot, record.name) for record in snapshot.tasks}
    answers = portfolio.predict(texts)
    return Job(
        portfolio=name,
        tasks=len(snapshot.tasks),
        texts=kind,
        tokens=sum(len(one.ids) for one in encoded) / len(texts),
        asked=sum(route.looked == "base" for route in routes) / len(texts),
        answers=sum(not answer.abstained for answer in answers),
        base=base,
        ways={
            ROUTED: lambda: portfolio.predict(texts, abstain=False),
            GIVEN: lambda: portfolio.predict(texts, task),
            SEPARATE: separate,
            CUT: cut,
        },
    )


def _cut(encoded: Sequence[Encoded]) -> list[list[int]]:
    """The batches that `predict` makes of one batch of texts."""
    lengths = [len(one.ids) for one in encoded]
    return cut_by_padding(sorted(range(len(encoded)), key=lengths.__getitem__), lengths, A_BATCH_MORE)
