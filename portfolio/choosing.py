"""Text to route: rules, then the router's one or two looks, then the session, then the fallback.

The trunk runs once. Its features decide where they are sure; for the other rows the bare base's upper blocks run too. What
the trunk made is handed on, so that an adapter's pass starts above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

from portfolio.engine import Engine, Moment
from portfolio.hosting.encode import Batch
from portfolio.hosting.plan import Trunk
from portfolio.permission import permit
from portfolio.records import BARE_BASE, NearClass, Route, Snapshot
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The routes of one batch, and what the trunk made of it."""

    routes: tuple[Route, ...]
    trunk: Trunk | None  # None where nothing was run


class Chooser:
    """Routes batches for one call, under one state of the portfolio."""

    def __init__(
        self, engine: Engine, now: Moment, router: Cascade, rules: Rules, sessions: Sessions, wanted: Wanted
    ) -> None:
        """
        Raises:
            ConfigError: rules or tags that cannot be.
        """
        self._engine = engine
        self._router = router
        self._sessions = sessions
        self._wanted = wanted
        self._permit = permit(rules, now.snapshot, wanted.tenant, wanted.tags)
        self._labels = {task.name: task.labels for task in now.snapshot.tasks}
        self._fallback = _fallback_of(now.snapshot, self._permit)

    def choose(self, batch: Batch) -> Chosen:
        """One route a row."""
        rows = len(batch.input_ids)
        if self._wanted.task is not None:
            return Chosen(routes=(self._given(self._wanted.task),) * rows, trunk=None)
        if not self._permit.allowed:
            return Chosen(routes=(self._forbidden(),) * rows, trunk=None)
        host = self._engine.host
        trunk = host.run_trunk(batch)

        def deeper(some: Int64) -> FloatArray:
            chosen = torch.from_numpy(some)
            return self._engine.view(host.run(batch.select(chosen), trunk=trunk.select(chosen)).features)

        with _thread_pools().limit(limits=1, user_api="blas"):
            looked = self._router.route(
                self._engine.view(trunk.features),
                deeper,
                top_k=len(self._permit.allowed) if self._wanted.session is not None else max(1, self._wanted.top_k),
                allowed=self._permit.allowed,
            )
        return Chosen(routes=tuple(self._route(one) for one in looked), trunk=trunk)

    def _given(self, task: str) -> Route:
        if task not in self._permit.allowed:
            return replace(
                self._forbidden(), reason=f"the rules do not let {task!r} answer this: {self._permit.reason}"
            )
        return Route(
            tasks=(task,), scores=(1.0,), margin=1.0, reason="the task was given", decided_by="given", rule=self._rule
        )

    def _forbidden(self) -> Route:
        return Route(
            tasks=(),
            scores=(),
            margin=0.0,
            reason=f"abstained: {self._permit.reason}",
            abstained=True,
            decided_by="rules",
            rule=self._rule,
        )

    def _route(self, looked: Looked) -> Route:
        decision = looked.decision
        refused = decision.abstain and self._wanted.abstain
        width = self._wanted.top_k if decision.margin < self._wanted.band else 1
        upper = len(self._engine.host.blocks) - self._engine.host.trunk
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
            nearest=tuple(
                NearClass(task=one.task, label=self._labels[one.task][one.number], distance=one.squared_distance)
                for one in decision.nearest
            ),
            rule=self._rule,
            looked=TRUNK if looked.is_first else BASE,
            block_evaluations=self._engine.host.trunk + (0 if looked.is_first else upper),
        )
        if self._wanted.session is not None:
            route = _in_session(route, decision, self._settled(decision, refused))
        return self._fallen_back(route) if route.abstained else route

    def _settled(self, decision: Decision, refused: bool) -> Settled:
        assert self._wanted.session is not None
        turn = Turn(
            tasks=decision.tasks,
            probabilities=decision.scores,
            in_scope=not refused,
            pinned=self._permit.pinned is not None,
        )
        return self._sessions.settle(self._wanted.session, turn)

    def _fallen_back(self, route: Route) -> Route:
        if self._fallback is None:
            return route
        who = "the bare base" if self._fallback == BARE_BASE else f"'{self._fallback}'"
        tasks = (route.nearest[0].task,) if self._fallback == BARE_BASE else (self._fallback,)
        reason = f"{route.reason}; {who} answers instead, as the fallback"
        return replace(route, tasks=tasks, scores=(1.0,), reason=reason, abstained=False, decided_by="fallback")

    def _with_rules(self, reason: str) -> str:
        return f"{self._permit.reason}; {reason}" if self._permit.reason else reason

    @property
    def _rule(self) -> str | None:
        return ", ".join(self._permit.rules) or None


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
