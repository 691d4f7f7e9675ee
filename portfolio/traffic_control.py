"""Trying a challenger while the champion answers: on a share of the inputs (canary), or silently (shadow).

`Portfolio.traffic` is one of these. A running portfolio sees each change at its next batch. A promotion or rollback of the task
ends what is tried.
"""

from __future__ import annotations

from portfolio.champions import champions_of, find_adapter, require_in_use
from portfolio.errors import Conflict, NotFound, require
from portfolio.gates.verdict import PASS
from portfolio.records import AdapterRecord, Snapshot, Traffic
from portfolio.refs import require_known
from portfolio.reports.traffic_figures import TrialFigures, trial_figures
from portfolio.store.changes import until_it_stands
from portfolio.store.store import Store
from portfolio.tally import Tally
from portfolio.traffic import BY_INPUT, BY_SESSION, CANARY, SHADOW, Counts, Trial, add_up


class TrafficControl:
    """What challengers are tried on. Every change is on record, with who did it and why."""

    def __init__(self, store: Store, tally: Tally) -> None:
        """For `Portfolio.traffic`."""
        self._store = store
        self._tally = tally

    def canary(
        self,
        ref: str,
        share: float,
        *,
        by: str = BY_INPUT,
        force: str | None = None,
        why: str = "",
        dry_run: bool = False,
    ) -> Traffic:
        """Let a version answer a share of what its task is given, instead of the champion.

        The share is taken by a hash, so an input or session always meets the same version; whoever is in a share is in every
        larger one.

        Args:
            ref: `name@version` or `name@alias`.
            share: in (0, 1].
            by: `input`, or `session`: all turns of a conversation meet the same version.
            force: a reason to try it without a PASS; on record.

        Raises:
            Conflict: it is the champion, or deprecated; or its newest verdict is not PASS, and `force` was not given.
            NotFound: no such version.
            ConfigError: a share or a `by` that cannot be.
        """
        return self._begin(ref, CANARY, share, by, force, why, dry_run)

    def shadow(
        self, ref: str, share: float = 1.0, *, by: str = BY_INPUT, why: str = "", dry_run: bool = False
    ) -> Traffic:
        """Let a version answer silently beside the champion, and count where they disagree. Answers stay as they are.

        Args:
            ref, share, by: as for `canary`.

        Raises:
            Conflict: it is the champion, or deprecated.
            NotFound, ConfigError: as for `canary`.
        """
        return self._begin(ref, SHADOW, share, by, None, why, dry_run)

    def end(self, name: str, *, why: str = "", dry_run: bool = False) -> Traffic:
        """The champion alone answers again; what was tried until now. What was counted stays.

        Raises:
            NotFound: no such task, or nothing is tried beside its champion.
        """
        return until_it_stands(lambda: self._end(name, why, dry_run))

    def _end(self, name: str, why: str, dry_run: bool) -> Traffic:
        snapshot = self._store.snapshot(history=False)
        running = _running(snapshot, name)
        if running is None:
            raise NotFound(f"nothing is tried beside the champion of {name!r}; look at: portfolio traffic")
        if not dry_run:
            self._store.releases.commit_traffic(
                expected_generation=snapshot.generation,
                name=name,
                traffic=None,
                detail={"why": why, "ref": f"{name}@{running.version}", "mode": running.mode},
            )
        return running

    def observed(self, name: str | None = None) -> tuple[TrialFigures, ...]:
        """What challengers and champions said, of every trial that is or was, or of those of one task.

        Other processes that serve this portfolio write what they count every few seconds.

        Raises:
            NotFound: no such task.
        """
        waiting = self._tally.flush()
        snapshot = self._store.snapshot(history=False)
        if name is not None:
            require_known(name, [task.name for task in snapshot.tasks])
        running = {_trial_of(snapshot, one): one for one in snapshot.traffic}
        begun = dict.fromkeys(running, Counts())
        counted = add_up([begun, self._store.releases.observations(), waiting])
        wanted = sorted((one for one in counted if name in (None, one.name)), key=_order)
        return tuple(trial_figures(trial, counted[trial], running.get(trial)) for trial in wanted)

    def _begin(self, ref: str, mode: str, share: float, by: str, force: str | None, why: str, dry_run: bool) -> Traffic:
        require(0 < share <= 1, f"share must be above 0 and at most 1, got {share}")
        require(by in (BY_INPUT, BY_SESSION), f"by must be {BY_INPUT} or {BY_SESSION}, got {by!r}")
        require(force is None or bool(force.strip()), "expected a reason to try it without a PASS, got an empty one")
        detail = {"why": why, "split": by, **({} if force is None else {"forced": force})}

        def attempt() -> Traffic:
            snapshot = self._store.snapshot(history=False)
            record = find_adapter(snapshot, ref)
            _require_challenger(snapshot, record)
            if mode == CANARY and force is None:
                self._require_passed(record)
            traffic = Traffic(name=record.task, version=record.version, mode=mode, share=float(share), by=by)
            if not dry_run:
                self._store.releases.commit_traffic(
                    expected_generation=snapshot.generation, name=record.task, traffic=traffic, detail=detail
                )
            return traffic

        return until_it_stands(attempt)

    def _require_passed(self, record: AdapterRecord) -> None:
        """Raise unless the newest verdict on this version lets it answer; one of its name may have been another adapter."""
        verdicts = self._store.releases.verdicts(record.name)
        theirs = [one for one in verdicts if (one.version, one.adapter) == (record.version, record.digest)]
        newest = theirs[-1] if theirs else None
        if newest is not None and newest.outcome == PASS:
            return
        found = "was never judged" if newest is None else f"has the verdict {newest.outcome}"
        raise Conflict(
            f"{record.ref} {found}, expected {PASS} before it answers anybody; judge it with: portfolio gate {record.ref}, "
            f"try it silently with: portfolio shadow {record.ref}, or give a reason with: --force REASON"
        )


def _require_challenger(snapshot: Snapshot, record: AdapterRecord) -> None:
    if champions_of(snapshot)[record.task].ref == record.ref:
        raise Conflict(f"{record.ref} is the champion and answers already; name another version of {record.task!r}")
    require_in_use(record)


def _running(snapshot: Snapshot, name: str) -> Traffic | None:
    require_known(name, [task.name for task in snapshot.tasks])
    return next((one for one in snapshot.traffic if one.name == name), None)


def _trial_of(snapshot: Snapshot, traffic: Traffic) -> Trial:
    beside = champions_of(snapshot)[traffic.name].version
    return Trial(name=traffic.name, version=traffic.version, beside=beside, mode=traffic.mode)


def _order(trial: Trial) -> tuple[str, int, int, str]:
    return trial.name, trial.version, trial.beside, trial.mode
