"""Sessions: the task of a conversation, kept over doubtful turns, with hysteresis by margin.

    prior_k  = (1 - δ) b_k + δ (1 - b_k) / (T - 1)       b: the session's beliefs after the turn before
    b'_k     = P(k | x) prior_k / Σ_j P(j | x) prior_j
    move from the session's task c to the router's best t  if  b'_t >= b'_c  or  P(t | x) >= clear

The margin to pass, in log-odds, is log (prior_c / prior_t): wide for a session that is sure, narrower with each turn that
speaks for the same other task. This is the forward filter of a hidden Markov chain (Rabiner, 1989, section III.A), but the
answer is always the session's task or the router's best. Why so, in numbers: docs/decisions/0007-sessions.md.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_LIKELIEST = 8  # beliefs kept of a session, so that it stays small among many tasks
_ROUNDING = 1e-3  # of the sum of probabilities, which may come in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the router said to one input of a conversation."""

    tasks: tuple[str, ...]  # all that the rules allow for this input, in any order
    probabilities: tuple[float, ...]  # P(task | x) of them, calibrated, their sum 1
    in_scope: bool  # False: the router abstains, and then there may be no tasks
    pinned: bool = False  # a rule chose the task, which stands alone in `tasks`

    def __post_init__(self) -> None:
        if len(self.tasks) != len(self.probabilities) or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(
                f"expected different tasks with a probability each, got {len(self.tasks)} tasks "
                f"({len(set(self.tasks))} different) and {len(self.probabilities)} probabilities"
            )
        if self.pinned and len(self.tasks) != 1:
            raise ValueError(f"expected the pinned task alone, got {len(self.tasks)} tasks")
        if not self.tasks and not self.in_scope:
            return
        wrong = [p for p in self.probabilities if not 0 <= p <= 1 + _ROUNDING]
        if wrong or abs(sum(self.probabilities) - 1) > _ROUNDING:
            raise ValueError(
                f"expected probabilities of all allowed tasks, which sum to 1; got a sum of "
                f"{sum(self.probabilities):.4f}{f', with {wrong[0]} among them' if wrong else ''}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Which task a turn gets."""

    task: str | None  # None where the input is not in scope
    is_held: bool  # the session kept its task against the router's best
    reason: str  # in words with figures; empty where the session changed nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaning:
    """What a session has come to; nothing of what was said in it."""

    task: str  # c
    beliefs: Mapping[str, float]  # b of the likeliest tasks; 0 for the others


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A session, and when it was last used."""

    leaning: _Leaning
    used_at_s: float


class Sessions:
    """The sessions of many conversations, in memory; threads may share it."""

    def __init__(
        self,
        *,
        drift: float = 0.12,
        clear: float = 0.9,
        idle_s: float = 1800.0,
        most: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sessions that nobody has used yet.

        Args:
            drift: δ in (0, 1), the share of turns that change the task; the smaller, the stickier.
            clear: from this probability of another task on, in (0, 1], one turn is enough to move.
            idle_s: a session without a turn for so long starts anew.
            most: sessions remembered; beyond that the one unused for longest is forgotten.
            clock: seconds that never run backwards.

        Raises:
            ValueError: a setting out of its range.
        """
        _check_settings(drift, clear, idle_s, most)
        self._drift = drift
        self._clear = clear
        self._idle_s = idle_s
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()  # the one unused for longest first

    def settle(self, session: str, turn: Turn) -> Settled:
        """The task for this turn of the session, which is remembered for the next.

        A pinned task is always followed, and a task that is not among the turn's is never kept. A turn that is not in
        scope changes nothing, but counts as use.

        Raises:
            ValueError: a session without a name.
        """
        if not session:
            raise ValueError("expected the name of a session, got ''; give each conversation a name of its own")
        with self._lock:
            now_s = self._clock()
            self._forget_idle(now_s)
            known = self._known.get(session)
            settled, leaning = _settle(known.leaning if known else None, turn, drift=self._drift, clear=self._clear)
            if leaning is not None:
                self._known[session] = _Known(leaning=leaning, used_at_s=now_s)
                self._known.move_to_end(session)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return settled

    def forget(self, session: str) -> None:
        """Let the session start anew; nothing happens where it is not known."""
        with self._lock:
            self._known.pop(session, None)

    def __len__(self) -> int:
        """How many sessions are remembered and not idle."""
        with self._lock:
            self._forget_idle(self._clock())
            return len(self._known)

    def _forget_idle(self, now_s: float) -> None:
        while self._known:
            longest = next(iter(self._known.values()))
            if now_s - longest.used_at_s < self._idle_s:
                return
            self._known.popitem(last=False)


def _settle(before: _Leaning | None, turn: Turn, *, drift: float, clear: float) -> tuple[Settled, _Leaning | None]:
    """What the turn gets, and what the session has come to after it."""
    if not turn.in_scope:
        return Settled(task=None, is_held=False, reason=""), before
    chances = dict(zip(turn.tasks, turn.probabilities, strict=True))
    best = max(chances, key=chances.__getitem__)
    if before is None or before.task not in chances:
        return Settled(task=best, is_held=False, reason=""), _leaning(best, chances)
    own, beliefs = before.task, _filtered(before.beliefs, chances, drift)
    if chances[own] == chances[best]:
        return Settled(task=own, is_held=False, reason=""), _leaning(own, beliefs)
    if beliefs[best] >= beliefs[own]:
        return Settled(task=best, is_held=False, reason=""), _leaning(best, beliefs)
    if chances[best] >= clear:  # against what it believed, so it begins anew
        return Settled(task=best, is_held=False, reason=""), _leaning(best, chances)
    reason = (
        f"the session stays with '{own}': P {chances[own]:.2f} by this input alone, {beliefs[own]:.2f} with the turns "
        f"before it; '{best}' {chances[best]:.2f} and {beliefs[best]:.2f}"
    )
    return Settled(task=own, is_held=True, reason=reason), _leaning(own, beliefs)


def _filtered(beliefs: Mapping[str, float], chances: Mapping[str, float], drift: float) -> dict[str, float]:
    """b', of each task of the turn."""
    leak = drift / max(len(chances) - 1, 1)
    weights = {}
    for task, chance in chances.items():
        belief = beliefs.get(task, 0.0)
        weights[task] = chance * ((1 - drift) * belief + leak * (1 - belief))
    whole = sum(weights.values())
    return {task: weight / whole for task, weight in weights.items()}


def _leaning(task: str, beliefs: Mapping[str, float]) -> _Leaning:
    likeliest = sorted(beliefs, key=beliefs.__getitem__, reverse=True)[:_LIKELIEST]
    return _Leaning(task=task, beliefs={other: beliefs[other] for other in likeliest})


def _check_settings(drift: float, clear: float, idle_s: float, most: int) -> None:
    if not 0 < drift < 1:
        raise ValueError(f"drift must be a share between 0 and 1, got {drift}")
    if not 0 < clear <= 1:
        raise ValueError(f"clear must be a probability above 0 and at most 1, got {clear}")
    if not idle_s > 0:
        raise ValueError(f"idle_s must be a positive number of seconds (math.inf to never start anew), got {idle_s}")
    if most < 1:
        raise ValueError(f"most must be 1 session or more, got {most}")
