"""One batch of texts: routed, with the task given, and through a separate embedding model, against the base alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio import Portfolio
from portfolio.champions import champion_of
from portfolio.hosting.base import Base
from portfolio.hosting.encode import encode, pad

ROUTED, GIVEN, SEPARATE = "routed", "task given", "separate embedding model"
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
    routes = portfolio.route(texts, abstain=False)
    task = portfolio.tasks()[0].name

    def base() -> Tensor:
        with torch.inference_mode():
            states: Tensor = plain.model(**batch.inputs()).last_hidden_state
        return states

    def separate() -> list[list[float]]:
        """The base for an embedding; its adapters' whole pass. Choosing by the embedding is not counted."""
        rows = pad(encode(plain.tokenizer, texts, None, portfolio.contract.max_tokens), plain.pad_id)
        with torch.inference_mode():
            engine.host.pool(plain.model(**rows.inputs()).last_hidden_state, rows)
            [service] = engine.services([adapters[route.tasks[0]] for route in routes])
            logits = service.heads.logits(engine.host.run(rows, service.plan).features)
            said: list[list[float]] = torch.softmax(logits, dim=1).tolist()
        return said

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
        },
    )
