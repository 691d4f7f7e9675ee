"""Text to route: rules, then the router's one or two looks, then the session, then the fallback, then what stands in.

The trunk runs once. Its features decide where they are sure; for the other rows the bare base's upper blocks run too. What
the trunk made is handed on, so that an adapter's pass starts above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

from portfolio.engine import Engine, Moment
from portfolio.hosting.encode import Batch
from portfolio.hosting.plan import Trunk
from portfolio.permission import permit
from portfolio.records import BARE_BASE, NearClass, Route, Snapshot
from portfolio.stand_ins import stand_ins
from routing.cascade import Cascade, Looked
from routing.decision import Decision
from routing.rules import Permit, Rules
from routing.sessions import Sessions, Settled, Turn
from routing.statistics import FloatArray, Int64

TRUNK, BASE = "trunk", "base"  # whose features decided
_WOULD = ("abstained:", "would have abstained:")  # where an answer is wanted whatever the router thinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a call wants its texts to be routed."""

    task: str | None = None  # given: the router is not asked
    top_k: int = 1  # mix the answers of so many tasks
    band: float = 1.0  # but only where the margin is below this
    abstain: bool = True  # leave what no task knows to nobody, or to the fallback
    tenant: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    session: str | None = None  # the texts are turns of this conversation, in order
    drop: tuple[str, ...] = ()  # members that compositions do without
    member_weights: Mapping[str, float] = field(default_factory=dict)  # of compositions, instead of what was learned
    explain: bool = False  # also say how much fusions attend to each member
    stand_in: bool = True  # where a task is disabled, something else answers; False: say where the router sends a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The routes of one batch, and what the trunk made of it."""

    routes: tuple[Route, ...]
    trunk: Trunk | None  # None where nothing was run
    by_base: frozenset[int] = frozenset()  # rows that the bare base answers: with the label of the nearest class


@dataclass(frozen=True, slots=True)
class _Sent:
    """The route of one row, and whether the bare base answers it."""

    route: Route
    by_base: bool = False


class Chooser:
    """Routes batches for one call, under one state of the portfolio."""

    def __init__(
        self,
        engine: Engine,
        now: Moment,
        router: Cascade,
        rules: Rules,
        sessions: Sessions,
        wanted: Wanted,
        *,
        answers: bool,
    ) -> None:
        """
        Args:
            answers: adapters will run on the batches, too, so what all passes share is made once.

        Raises:
            ConfigError: rules or tags that cannot be.
        """
        self._engine = engine
        self._router = router
        self._sessions = sessions
        self._wanted = wanted
        self._with_prelude = answers and now.leaves_prelude
        self._permit = permit(rules, now.snapshot, wanted.tenant, wanted.tags)
        self._labels = now.labels
        self._fallback = _fallback_of(now.snapshot, self._permit)
        self._stand_ins = stand_ins(now.snapshot.tasks, self._permit.allowed) if wanted.stand_in else {}

    def choose(self, batch: Batch) -> Chosen:
        """One route a row."""
        task = self._wanted.task
        if task is None and self._permit.allowed:
            trunk, looked = self._look(batch)
            return _chosen([self._route(one, trunk) for one in looked], trunk)
        if task is None or task not in self._permit.allowed:
            return _chosen([self._forbidden(task)] * len(batch.input_ids))
        instead = self._stand_ins.get(task)
        if instead is None or instead.who != BARE_BASE:
            return _chosen([self._stood_in(self._given(task))] * len(batch.input_ids))
        trunk, looked = self._look(batch, task)  # whose nearest class the bare base says
        return _chosen([self._stood_in(self._seen(self._given(task), one, trunk)) for one in looked], trunk)

    def _look(self, batch: Batch, task: str | None = None) -> tuple[Trunk, list[Looked]]:
        """What the trunk makes of a batch, and what the router then says, of one task alone if it is given."""
        host = self._engine.host
        trunk = host.run_trunk(batch, with_prelude=self._with_prelude and task is None)

        def deeper(some: Int64) -> FloatArray:
            chosen = torch.from_numpy(some)
            return self._engine.view(host.run(batch.select(chosen), trunk=trunk.select(chosen)).features)

        with _thread_pools().limit(limits=1, user_api="blas"):
            looked = self._router.route(
                self._engine.view(trunk.features),
                deeper,
                top_k=len(self._permit.allowed) if self._wanted.session is not None else max(1, self._wanted.top_k),
                allowed=self._permit.allowed if task is None else (task,),
            )
        return trunk, looked

    def _given(self, task: str) -> Route:
        return Route(
            tasks=(task,), scores=(1.0,), margin=1.0, reason="the task was given", decided_by="given", rule=self._rule
        )

    def _forbidden(self, task: str | None) -> _Sent:
        said = "abstained" if task is None else f"the rules do not let {task!r} answer this"
        route = Route(
            tasks=(),
            scores=(),
            margin=0.0,
            reason=f"{said}: {self._permit.reason}",
            abstained=True,
            decided_by="rules",
            rule=self._rule,
        )
        return _Sent(route)

    def _route(self, looked: Looked, trunk: Trunk) -> _Sent:
        decision = looked.decision
        refused = decision.abstain and self._wanted.abstain
        width = self._wanted.top_k if decision.margin < self._wanted.band else 1
        route = Route(
            tasks=decision.tasks[:width],
            scores=decision.scores[:width],
            margin=decision.margin,
            reason=self._with_rules(decision.reason if refused else decision.reason.replace(*_WOULD, 1)),
            abstained=refused,
            decided_by="router" if self._permit.pinned is None else "pin",
            runner_up=decision.runner_up,
            in_scope=decision.in_scope,
            threshold=decision.threshold if math.isfinite(decision.threshold) else None,
            rule=self._rule,
        )
        route = self._seen(route, looked, trunk)
        if self._wanted.session is not None:
            route = _in_session(route, decision, self._settled(decision, refused))
        return self._fallen_back(route) if route.abstained else self._stood_in(route)

    def _seen(self, route: Route, looked: Looked, trunk: Trunk) -> Route:
        """The route with the classes nearest to the row, and what looking took."""
        host = self._engine.host
        begun = host.trunk + (trunk.prelude is not None)
        return replace(
            route,
            nearest=tuple(
                NearClass(task=one.task, label=self._labels[one.task][one.number], distance=one.squared_distance)
                for one in looked.decision.nearest
            ),
            looked=TRUNK if looked.is_first else BASE,
            block_evaluations=begun if looked.is_first else len(host.blocks),
        )

    def _settled(self, decision: Decision, refused: bool) -> Settled:
        assert self._wanted.session is not None
        turn = Turn(
            tasks=decision.tasks,
            probabilities=decision.scores,
            in_scope=not refused,
            pinned=self._permit.pinned is not None,
        )
        return self._sessions.settle(self._wanted.session, turn)

    def _fallen_back(self, route: Route) -> _Sent:
        if self._fallback is None:
            return _Sent(route)
        who = "the bare base" if self._fallback == BARE_BASE else f"'{self._fallback}'"
        tasks = (route.nearest[0].task,) if self._fallback == BARE_BASE else (self._fallback,)
        reason = f"{route.reason}; {who} answers instead, as the fallback"
        fallen = replace(route, tasks=tasks, scores=(1.0,), reason=reason, abstained=False, decided_by="fallback")
        return _Sent(fallen, by_base=True) if self._fallback == BARE_BASE else self._stood_in(fallen)

    def _stood_in(self, route: Route) -> _Sent:
        """Where the best task is disabled, what stands in for it answers alone; any other that is disabled is not asked."""
        if self._stand_ins.keys().isdisjoint(route.tasks):
            return _Sent(route)
        instead = self._stand_ins.get(route.tasks[0])
        if instead is None:
            shares = dict(zip(route.tasks, route.scores, strict=True))
            kept = {task: score for task, score in shares.items() if task not in self._stand_ins}
            reason = f"{route.reason}; disabled: {', '.join(task for task in shares if task not in kept)}"
            return _Sent(replace(route, tasks=tuple(kept), scores=tuple(kept.values()), reason=reason))
        if instead.who is None:
            reason = f"abstained: {instead.reason}; {route.reason}"
            return _Sent(replace(route, reason=reason, abstained=True, decided_by="disabled"))
        by_base = instead.who == BARE_BASE
        tasks = (route.nearest[0].task if by_base else instead.who,)
        reason = f"{route.reason}; {instead.reason}"
        return _Sent(replace(route, tasks=tasks, scores=(1.0,), reason=reason, decided_by="disabled"), by_base)

    def _with_rules(self, reason: str) -> str:
        return f"{self._permit.reason}; {reason}" if self._permit.reason else reason

    @property
    def _rule(self) -> str | None:
        return ", ".join(self._permit.rules) or None


def _chosen(sent: Sequence[_Sent], trunk: Trunk | None = None) -> Chosen:
    return Chosen(
        routes=tuple(one.route for one in sent),
        trunk=trunk,
        by_base=frozenset(row for row, one in enumerate(sent) if one.by_base),
    )


def _in_session(route: Route, decision: Decision, settled: Settled) -> Route:
    """The route, if the session keeps its task against the router's best; it answers alone then."""
    if settled.task in (None, route.tasks[0]):
        return route
    score = decision.scores[decision.tasks.index(settled.task)]
    why = settled.reason or f"the session stays with '{settled.task}', which is as likely"
    return replace(
        route,
        tasks=(settled.task,),
        scores=(score,),
        reason=f"{why}; {route.reason}",
        decided_by="session",
        runner_up=decision.tasks[0],
        margin=score - decision.scores[0],
    )


def _fallback_of(snapshot: Snapshot, permit: Permit) -> str | None:
    """Who answers what the router refuses; nobody where the rules do not allow it."""
    fallback = None if snapshot.router is None else snapshot.router.wishes.fallback
    return fallback if fallback == BARE_BASE or fallback in permit.allowed else None


@lru_cache(maxsize=1)
def _thread_pools() -> ThreadpoolController:
    """To keep numpy to one thread while it routes: its products are small, and its threads would wait for work beside torch's.

    1,500 short texts took 7.7 s with them and 4.8 s without, where the bare base takes 3.2 s (2 cores).
    """
    return ThreadpoolController()
