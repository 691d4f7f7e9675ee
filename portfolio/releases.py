"""Versions of adapters as releases: judged, promoted, rolled back, disabled, on record. `Portfolio.releases` is one of these.

A promotion takes what the gate computed (`Ready`), a rollback what the portfolio was before: so neither loads a model. Where
that no longer holds, since other tasks came or changed, a promotion is judged anew; a rollback goes ahead at once, with the
router's sums moved exactly and its thresholds kept, and leaves to `evaluate` what can only be measured with the models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from portfolio.champions import aliases_of, champion_of, find_adapter, require_in_use, task_of
from portfolio.errors import Blocked, Conflict, NotFound, require
from portfolio.gatekeeper import Gatekeeper, ReadAgain
from portfolio.gates.verdict import PASS, Verdict
from portfolio.records import (
    BARE_BASE,
    CHAMPION,
    NOBODY,
    AdapterRecord,
    Ready,
    Snapshot,
)
from portfolio.refs import Ref, require_known
from portfolio.store.changes import until_it_stands
from portfolio.store.store import Store
from portfolio.surroundings import surroundings

if TYPE_CHECKING:
    from portfolio.engine import Engine
    from portfolio.reports.at import Serving
    from portfolio.reports.difference import Difference
    from portfolio.reports.history import HistoryLine
    from portfolio.store.garbage import Garbage


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """That an alias went, or would go, from one version to another."""

    alias: str
    before: str | None  # `name@version`; None: it named none
    after: str | None
    verdict: Verdict | None = None  # that let it pass
    forced: str | None = None  # why it was moved without a PASS
    measured: bool = True  # False: routed scores are not known before the next `evaluate`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """From the champion to another version, as of one snapshot."""

    snapshot: Snapshot
    champion: AdapterRecord
    record: AdapterRecord
    surroundings: str
    ready: Ready | None  # what the portfolio is with that version, if that is known now

    @property
    def move(self) -> Move:
        return Move(
            alias=CHAMPION,
            before=str(self.champion.ref),
            after=str(self.record.ref),
            measured=self.ready is not None,
        )


class Releases:
    """What can be done with versions. Every change is on record, with who did it and why."""

    def __init__(self, store: Store, engine: Callable[[], Engine], read_again: ReadAgain) -> None:
        """For `Portfolio.releases`.

        Args:
            engine: called when models must run; loads the base then.
        """
        self._store = store
        self._gatekeeper = Gatekeeper(store, engine, read_again)

    # Judging

    def gate(self, ref: str, *, dry_run: bool = False, why: str = "") -> Verdict:
        """Judge a version by the rules that hold for its task. The verdict is stored; the version becomes the challenger.

        Args:
            ref: `name@version` or `name@alias`; a bare name is its newest version.
            dry_run: store nothing.

        Raises:
            NotFound: no such version.
            ConfigError: a `gates.toml` that cannot be.
        """
        return until_it_stands(lambda: self._gate(ref, dry_run, why))

    def _gate(self, ref: str, dry_run: bool, why: str) -> Verdict:
        snapshot = self._store.snapshot(history=False)
        record = self._newest(snapshot, ref)
        verdict, evidence = self._gatekeeper.judge(snapshot, record)
        if not dry_run:
            self._gatekeeper.keep(snapshot, record, verdict, evidence, why)
        return verdict

    def verdicts(self, name: str | None = None) -> tuple[Verdict, ...]:
        """All, or those on the versions of one adapter; oldest first. They stay when a task is removed."""
        return self._gatekeeper.verdicts(name)

    def admit(self, record: AdapterRecord) -> Verdict:
        """Judge the first version of a new task that was taken in disabled; it answers from now on if it passes."""
        verdict = self.gate(str(record.ref), why="a new task")
        if verdict.outcome == PASS:
            self._set_instead(record.task, None, "passed its gate", _said_of(verdict, None))
        return verdict

    # Moving aliases

    def promote(
        self,
        ref: str,
        *,
        to: str = CHAMPION,
        expected: str | None = None,
        force: str | None = None,
        why: str = "",
        dry_run: bool = False,
    ) -> Move:
        """Let a version answer for its task, if it passed its gate as things are now; or move another alias to it.

        The gate runs only where no verdict of the same adapter, champion, rules and surroundings is stored.

        Args:
            to: `champion`, or an alias of your own, which needs no verdict.
            expected: the version that the alias must name now, as `name@version`, or as its number; whatever it names, if
                not given.
            force: a reason to promote it without a PASS; on record.
            dry_run: say what would happen; nothing is stored, not even a verdict.

        Raises:
            Blocked: the verdict is not PASS; it holds the verdict. Nothing moved.
            Conflict: the alias names another version than expected, also if it moved meanwhile; or names this one already;
                or the version is deprecated, and `force` was not given.
            NotFound: no such version.
        """
        if to != CHAMPION:
            return until_it_stands(lambda: self._point(ref, to, expected, why, dry_run))
        return until_it_stands(lambda: self._promote(ref, expected, force, why, dry_run))

    def _promote(self, ref: str, expected: str | None, force: str | None, why: str, dry_run: bool) -> Move:
        snapshot = self._store.snapshot(history=False)
        record = self._newest(snapshot, ref)
        champion = champion_of(snapshot, record.task)
        _require_expected(CHAMPION, champion.ref, expected)
        is_champion = champion.ref == record.ref
        if is_champion and task_of(snapshot, record.task).disabled is None:
            raise Conflict(
                f"{record.ref} is the champion already; another version is promoted with: portfolio promote REF"
            )
        verdict = None
        if force is None:
            require_in_use(record)
            verdict = self._gatekeeper.standing(snapshot, record)
            if verdict is None:
                verdict = self.gate(str(record.ref), dry_run=dry_run, why="to be promoted")
                snapshot = snapshot if dry_run else self._store.snapshot(history=False)
            if verdict.outcome != PASS:
                raise Blocked(f"{record.ref} is not promoted: its verdict is {verdict.outcome}", verdict)
        step = self._step(snapshot, champion, record)
        if not dry_run:
            said = _said_of(verdict, force)
            if is_champion:
                self._set_instead(record.task, None, why or "promoted", said)
            else:
                self._take(step, "promote", champion.version, {"why": why, **said})
        return replace(step.move, verdict=verdict, forced=force, measured=step.move.measured or is_champion)

    def _point(self, ref: str, alias: str, expected: str | None, why: str, dry_run: bool) -> Move:
        """An alias that decides nothing by itself."""
        snapshot = self._store.snapshot(history=False)
        record = self._newest(snapshot, ref)
        now = aliases_of(snapshot, record.name).get(alias)
        _require_expected(alias, None if now is None else Ref(record.name, now), expected)
        if not dry_run:
            self._store.releases.commit_alias(
                expected_generation=snapshot.generation,
                name=record.name,
                alias=alias,
                version=record.version,
                expected=now,
                detail={"why": why},
            )
        return Move(alias=alias, before=None if now is None else f"{record.name}@{now}", after=str(record.ref))

    def rollback(self, name: str, *, why: str = "", dry_run: bool = False) -> Move:
        """Let the version answer again that answered before, after checking its digest and reading it.

        Args:
            name: of the task; or `name@version`, to go back to any earlier champion.

        Raises:
            NotFound: no such task, or nothing that it could go back to.
            DamagedBlob: that version is not what it was; nothing moved.
        """
        return until_it_stands(lambda: self._rollback(name, why, dry_run))

    def _rollback(self, name: str, why: str, dry_run: bool) -> Move:
        from portfolio.standby import load_checked, promoted_before

        snapshot = self._store.snapshot(history=False)
        task, at, _ = name.partition("@")
        require_known(task, [one.name for one in snapshot.tasks])
        champion = champion_of(snapshot, task)
        before = promoted_before(self._store.events(), task)
        if not before:
            raise NotFound(
                f"{champion.ref} is the first champion of {task!r}, so there is nothing to go back to; stop it with: "
                f"portfolio disable {task}"
            )
        record = find_adapter(snapshot, name if at else f"{task}@{before[-1]}")
        require(
            record.version in before,
            f"{record.ref} was no champion of {task!r} before {champion.ref}; expected one of "
            f"{', '.join(f'{task}@{version}' for version in before)}",
        )
        load_checked(self._store, record)
        step = self._step(snapshot, champion, record)
        if not dry_run:
            earlier = before[: before.index(record.version)]
            self._take(step, "rollback", earlier[-1] if earlier else None, {"why": why})
        return step.move

    def _step(self, snapshot: Snapshot, champion: AdapterRecord, record: AdapterRecord) -> _Step:
        """What it takes to let a version answer instead of the champion."""
        around = surroundings(snapshot, record.task)
        ready = self._store.releases.ready(record.ref)
        return _Step(
            snapshot=snapshot,
            champion=champion,
            record=record,
            surroundings=around,
            ready=ready if ready is not None and ready.surroundings == around else None,
        )

    def _take(self, step: _Step, action: str, previous: int | None, detail: Mapping[str, object]) -> None:
        """Commit it.

        Args:
            previous: the version that `previous` names then.
        """
        from portfolio.standby import moved, ready_now, results_of_ready

        store, record = self._store, step.record
        if step.ready is None:
            router, results = moved(store, step.snapshot, store.releases.lineage(record.ref))
        else:
            router, results = step.ready.router, results_of_ready(step.ready)
        store.releases.commit_promotion(
            expected_generation=step.snapshot.generation,
            ref=record.ref,
            expected_champion=step.champion.version,
            previous=previous,
            router=router,
            results=results,
            action=action,
            detail=detail,
            before=ready_now(step.snapshot, record.task, step.surroundings),
            enable=action == "promote",
        )

    # Who does not answer, and what should not be used

    def disable(self, name: str, *, instead: str | None = None, why: str = "", dry_run: bool = False) -> str:
        """Let the router give nothing to a task any more; what would go there is answered by something else, at once.

        Args:
            instead: another task, `base` (the nearest class, no adapter) or `none` (nobody); by default the portfolio's
                fallback, or `base` where there is none.

        Returns:
            Who answers instead.

        Raises:
            NotFound: no such task.
            ConfigError: a task cannot stand in for itself.
        """
        return until_it_stands(lambda: self._disable(name, instead, why, dry_run))

    def _disable(self, name: str, instead: str | None, why: str, dry_run: bool) -> str:
        snapshot = self._store.snapshot(history=False)
        names = [task.name for task in snapshot.tasks]
        require_known(name, names)
        who = instead or _fallback(snapshot, name)
        if who not in (BARE_BASE, NOBODY):
            require_known(who, names)
        require(who != name, f"{name!r} cannot stand in for itself; name another task, base or none")
        if not dry_run:
            self._commit_disabled(snapshot, name, who, why)
        return who

    def enable(self, name: str, *, why: str = "", dry_run: bool = False) -> None:
        """Let a disabled task answer again.

        Raises:
            NotFound: no such task.
            Conflict: it is not disabled.
        """
        if task_of(self._store.snapshot(history=False), name).disabled is None:
            raise Conflict(f"{name!r} is not disabled: it answers already")
        if not dry_run:
            self._set_instead(name, None, why)

    def deprecate(self, ref: str, *, why: str | None, dry_run: bool = False) -> AdapterRecord:
        """Say of a version that it should not be used any more: it cannot be promoted. A champion goes on answering.

        Args:
            why: None takes it back.

        Raises:
            NotFound: no such version.
        """
        require(why is None or bool(why.strip()), "expected a reason to deprecate a version, got an empty one")
        return until_it_stands(lambda: self._deprecate(ref, why, dry_run))

    def _deprecate(self, ref: str, why: str | None, dry_run: bool) -> AdapterRecord:
        snapshot = self._store.snapshot(history=False)
        record = find_adapter(snapshot, ref)
        if not dry_run:
            self._store.releases.commit_deprecated(
                expected_generation=snapshot.generation, ref=record.ref, why=why, detail={"why": why or "taken back"}
            )
        return record

    def _set_instead(
        self, name: str, instead: str | None, why: str, said: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        until_it_stands(lambda: self._commit_disabled(self._store.snapshot(history=False), name, instead, why, said))

    def _commit_disabled(
        self,
        snapshot: Snapshot,
        name: str,
        instead: str | None,
        why: str,
        said: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._store.releases.commit_disabled(
            expected_generation=snapshot.generation, name=name, instead=instead, detail={"why": why, **said}
        )

    # What was, and what is left over

    def history(self, name: str | None = None) -> tuple[HistoryLine, ...]:
        """Everything that was done to a portfolio, or to one of its tasks, also to one that was removed; oldest first."""
        from portfolio.reports.history import history

        return history(self._store.events(), name)

    def at(self, when: str) -> tuple[Serving, ...]:
        """What answered at a date or time (ISO 8601), task by task.

        Raises:
            ConfigError: no date.
        """
        from portfolio.reports.at import at

        return at(self._store.events(), when)

    def diff(self, one: str, other: str) -> Difference:
        """How two versions differ: settings, data, figures, and the examples that flipped.

        Raises:
            NotFound: no such version.
        """
        from portfolio.differing import difference_of

        snapshot = self._store.snapshot(history=False)
        return difference_of(self._store, find_adapter(snapshot, one), find_adapter(snapshot, other))

    def flipped_texts(self, found: Difference) -> Mapping[int, str]:
        """The texts of the rows that flipped, by row, read again from where they came; none where they cannot be read."""
        from portfolio.differing import flipped_texts

        return flipped_texts(found, self._store.releases.lineage(find_adapter(self._store.snapshot(), found.after).ref))

    def gc(self, *, dry_run: bool = False) -> tuple[Garbage, ...]:
        """Delete what nothing refers to: blobs, temporary files, unfinished directories; what went or would go.

        What gates computed for surroundings that have changed since is let go of first; its blobs go some time later.
        """
        if not dry_run:
            until_it_stands(self._forget_ready)
        return self._store.gc(dry_run=dry_run)

    def _forget_ready(self) -> None:
        snapshot = self._store.snapshot(history=False)
        now = {name: surroundings(snapshot, name) for name in self._store.releases.ready_names()}
        self._store.releases.forget_ready(expected_generation=snapshot.generation, surroundings=now)

    @staticmethod
    def _newest(snapshot: Snapshot, ref: str) -> AdapterRecord:
        """The version that a reference names; of a bare name the newest."""
        if "@" in ref:
            return find_adapter(snapshot, ref)
        require_known(ref, [task.name for task in snapshot.tasks])
        return max((one for one in snapshot.adapters if one.name == ref), key=lambda one: one.version)


def _fallback(snapshot: Snapshot, name: str) -> str:
    fallback = None if snapshot.router is None else snapshot.router.wishes.fallback
    return BARE_BASE if fallback in (None, name) else fallback


def _require_expected(alias: str, now: Ref | None, expected: str | None) -> None:
    if expected is not None and expected not in (str(now), "" if now is None else str(now.version)):
        raise Conflict(
            f"expected {alias} to name {expected}, but it names {now or 'nothing'}: it moved meanwhile; look at it with: "
            f"portfolio history"
        )


def _said_of(verdict: Verdict | None, forced: str | None) -> dict[str, object]:
    """What the history says of why a version may answer."""
    if verdict is None:
        return {} if forced is None else {"forced": forced}
    return {"outcome": verdict.outcome, "verdict": hashlib.sha256(verdict.to_json().encode()).hexdigest()}
