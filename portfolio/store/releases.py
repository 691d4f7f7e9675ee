"""The store's share of releases: versions that come, aliases that move, verdicts, and who does not answer or is tried.

As in store.py, one method for one intention and one transaction for one method. Each leaves an event, whose detail says who
did it, why, from what and to what; the caller gives those.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from portfolio.errors import Conflict, NotFound, require
from portfolio.records import (
    BARE_BASE,
    CHALLENGER,
    CHAMPION,
    NOBODY,
    PREVIOUS,
    AdapterRecord,
    Lineage,
    Ready,
    Results,
    RouterState,
    Traffic,
)
from portfolio.refs import Ref, check_name
from portfolio.store import adapter_rows, observation_rows, release_rows, rows
from portfolio.store.changes import Change, Changes, event
from portfolio.store.consistency import put_router, require_blobs, require_members, require_own, require_tasks
from portfolio.store.release_rows import SuiteRow, VerdictRow
from portfolio.traffic import Counts, Trial

Detail = Mapping[str, object]


class ReleaseStore:
    """Reads and writes of one portfolio that have to do with versions."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    # Reading

    def lineage(self, ref: Ref) -> Lineage:
        """What a version was learned from.

        Raises:
            NotFound: there is no such version.
        """
        with self._database.reading() as db:
            found = release_rows.read_lineage(db, ref)
        if found is None:
            raise NotFound(f"there is no adapter {ref} in {self._changes.path}")
        return found

    def lineages(self, name: str | None = None) -> tuple[Lineage, ...]:
        """What all versions were learned from, or those of one adapter; by name and version."""
        with self._database.reading() as db:
            return release_rows.read_lineages(db, name)

    def verdicts(self, name: str | None = None) -> tuple[VerdictRow, ...]:
        """All, or those on one adapter; oldest first."""
        with self._database.reading() as db:
            return release_rows.read_verdicts(db, name)

    def ready(self, ref: Ref) -> Ready | None:
        """What the portfolio would be with that version as champion, as far as that was computed."""
        with self._database.reading() as db:
            return release_rows.read_ready(db, ref)

    def ready_names(self) -> tuple[str, ...]:
        """The adapters of which something is ready."""
        with self._database.reading() as db:
            return release_rows.read_ready_names(db)

    def suites(self) -> tuple[SuiteRow, ...]:
        """The shared evaluation suites, by name."""
        with self._database.reading() as db:
            return release_rows.read_suites(db)

    def observations(self, name: str | None = None) -> dict[Trial, Counts]:
        """What was counted of all trials, or of those of one adapter."""
        with self._database.reading() as db:
            return observation_rows.read_observations(db, name)

    # Writing

    def add_observations(self, counted: Mapping[Trial, Counts]) -> None:
        """Add to what was counted of trials; of versions that are gone, nothing is kept. The generation stays.

        Raises:
            Unwritable, Conflict: it cannot be written now; nothing was added.
        """
        with self._changes.begin() as db:
            for trial, counts in counted.items():
                refs = (trial.challenger, trial.champion)
                if all(adapter_rows.read_digest(db, ref) is not None for ref in refs):
                    observation_rows.add_observation(db, trial, counts)

    def commit_versions(
        self,
        *,
        expected_generation: int,
        adapters: Sequence[AdapterRecord],
        lineages: Sequence[Lineage],
        detail: Detail,
        action: str = "add-version",
    ) -> None:
        """New versions of the adapter of a task that is here. Who answers stays the same.

        Args:
            lineages: of each adapter, in the same order.

        Raises:
            ConfigError: no adapter at all, one without its lineage, or versions that do not rise.
            NotFound: the task, or a member, is no longer there.
            Conflict: a version of that number is there, or a member is another one than it was.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: a blob that a record names was not put.
        """
        refs, learned_from = [one.ref for one in adapters], [one.ref for one in lineages]
        require(bool(refs) and refs == learned_from, "expected one or more adapters, with the lineage of each")
        name, now = lineages[0].name, self._changes.now()
        dated = [replace(adapter, created_at=adapter.created_at or now) for adapter in adapters]
        with self._changes.begin() as db:
            require_tasks(db, self._changes.path, [name])
            require_own(name, dated)
            require_members(db, self._changes.path, dated)
            generation = self._changes.advance(db, expected_generation)
            taken = [str(one.ref) for one in dated if adapter_rows.read_digest(db, one.ref) is not None]
            if taken:
                raise Conflict(f"{', '.join(taken)} is in {self._changes.path} already; a version is never changed")
            named = [digest for one in dated for digest in (one.digest, one.attention) if digest is not None]
            stats = [digest for one in lineages for digest in (one.centroids, one.scatter, one.evaluation)]
            require_blobs(self._changes.blobs, (*named, *stats))
            adapter_rows.insert_adapters(db, dated)
            for lineage in lineages:
                release_rows.insert_lineage(db, lineage)
            digests = {str(one.ref): one.digest for one in dated}
            said = {**detail, "adapters": digests, "generation": generation}
            rows.append_event(db, event(now, action, name, said))

    def commit_verdict(
        self, *, expected_generation: int, verdict: VerdictRow, ready: Ready | None, detail: Detail
    ) -> None:
        """A verdict on a version, which becomes the challenger unless it is the champion.

        Args:
            ready: what the portfolio would be with it as champion, so that it can be promoted without computing that again.

        Raises:
            ConfigError: what is ready is of another version.
            NotFound: the version is no longer there.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: a blob that is named was not put.
        """
        require(ready is None or ready.ref == verdict.ref, f"expected what is ready of {verdict.ref}")
        now, name = self._changes.now(), verdict.name
        with self._changes.begin() as db:
            if adapter_rows.read_digest(db, verdict.ref) != verdict.adapter:
                raise NotFound(f"adapter {verdict.ref} is no longer what was judged in {self._changes.path}")
            generation = self._changes.advance(db, expected_generation)
            require_blobs(self._changes.blobs, [verdict.digest])
            release_rows.insert_verdict(db, replace(verdict, at=verdict.at or now))
            if ready is not None:
                self._changes.retire(db, self._put_ready(db, ready), generation)
            if release_rows.read_alias(db, name, CHAMPION) != verdict.version:
                release_rows.put_alias(db, name, CHALLENGER, verdict.version)
            said = {
                **detail,
                "ref": str(verdict.ref),
                "outcome": verdict.outcome,
                "verdict": verdict.digest,
                "generation": generation,
            }
            rows.append_event(db, event(now, "gate", name, said))

    def forget_ready(self, *, expected_generation: int, surroundings: Mapping[str, str]) -> None:
        """Let go of what was computed with versions as champions and holds no longer. Nothing that answers changes.

        Args:
            surroundings: by adapter, those that are there now.

        Raises:
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        with self._changes.begin() as db:
            self._changes.require(db, expected_generation)
            left = release_rows.forget_ready(db, surroundings)
            self._changes.retire(db, left, expected_generation)

    def commit_promotion(
        self,
        *,
        expected_generation: int,
        ref: Ref,
        expected_champion: int,
        previous: int | None,
        router: RouterState,
        results: Results,
        action: str,
        detail: Detail,
        before: Ready | None = None,
        enable: bool = False,
    ) -> None:
        """Let another version answer for its task: alias, the task's record, the router and the results, all at once.

        Args:
            expected_champion: the version that answers now.
            previous: the version that `previous` is to name; None: no longer any.
            action: `promote` or `rollback`, as the event calls it.
            before: what the portfolio was until now, kept so that it can be gone back to.
            enable: the task answers from now on, if it was disabled.

        Raises:
            ConfigError: `before` is of another version than the champion until now.
            NotFound: the version is not there, or `previous`.
            Conflict: another version than expected is the champion.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: a blob that is named was not put.
        """
        name, now = ref.name, self._changes.now()
        until_now = Ref(name, expected_champion)
        require(before is None or before.ref == until_now, f"expected `before` to be what was ready of {until_now}")
        with self._changes.begin() as db:
            if previous is not None:
                self._require_version(db, Ref(name, previous))
            digest, lineage = adapter_rows.read_digest(db, ref), release_rows.read_lineage(db, ref)
            if digest is None or lineage is None:
                raise NotFound(f"there is no adapter {ref} in {self._changes.path}")
            champion = release_rows.read_alias(db, name, CHAMPION)
            if champion != expected_champion:
                raise Conflict(
                    f"the champion of {name!r} is version {champion}, expected {expected_champion}: it moved meanwhile; "
                    f"look at it with: portfolio history {name}"
                )
            generation = self._changes.advance(db, expected_generation)
            require_blobs(self._changes.blobs, [digest, lineage.centroids, lineage.scatter, lineage.evaluation])
            release_rows.write_task_of(db, lineage)
            release_rows.put_alias(db, name, CHAMPION, ref.version)
            release_rows.put_alias(db, name, PREVIOUS, previous)
            if release_rows.read_alias(db, name, CHALLENGER) == ref.version:
                release_rows.put_alias(db, name, CHALLENGER, None)
            release_rows.put_traffic(db, name, None)  # it was tried beside the earlier champion
            left = set() if before is None else self._put_ready(db, before)
            if enable:
                release_rows.set_disabled(db, name, None)
            left |= put_router(db, self._changes.blobs, router)
            self._changes.put_results(db, results, Change(generation, now, action, name))
            self._changes.retire(db, left, generation)
            said = {
                **detail,
                "alias": CHAMPION,
                "from": None if champion == ref.version else f"{name}@{champion}",
                "to": str(ref),
                "digest": digest,
                **({"instead": None} if enable else {}),  # as of `disable` and `enable`
                "generation": generation,
            }
            rows.append_event(db, event(now, action, name, said))

    def commit_alias(
        self,
        *,
        expected_generation: int,
        name: str,
        alias: str,
        version: int | None,
        expected: int | None,
        detail: Detail,
    ) -> None:
        """Move an alias that decides nothing by itself; None takes it away.

        Args:
            expected: the version that it names now; None: there is no such alias.

        Raises:
            InvalidName: an alias that cannot be.
            ConfigError: it is `champion` or `previous`, which promotions and rollbacks move.
            Conflict: it names another version than expected.
            NotFound: there is no such version, or no alias that could be taken away.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        check_name(alias, "alias")
        require(not alias.isdigit(), f"an alias must not look like a version's number, got {alias!r}")
        require(alias not in (CHAMPION, PREVIOUS), f"{alias} is moved by promote and rollback only")
        now = self._changes.now()
        with self._changes.begin() as db:
            if version is not None:
                self._require_version(db, Ref(name, version))
            found = release_rows.read_alias(db, name, alias)
            if found != expected:
                raise Conflict(
                    f"{name}@{alias} is version {found}, expected {expected}: it moved meanwhile; "
                    f"look at it with: portfolio history {name}"
                )
            if found is None and version is None:
                raise NotFound(f"there is no alias {name}@{alias} in {self._changes.path} that could be taken away")
            generation = self._changes.advance(db, expected_generation)
            release_rows.put_alias(db, name, alias, version)
            said = {
                **detail,
                "alias": alias,
                "from": None if found is None else f"{name}@{found}",
                "to": None if version is None else f"{name}@{version}",
                "generation": generation,
            }
            rows.append_event(db, event(now, "alias", name, said))

    def commit_disabled(self, *, expected_generation: int, name: str, instead: str | None, detail: Detail) -> None:
        """Let something else answer what the router gives to a task; None: the task itself again.

        Args:
            instead: another task, `base` or `none`.

        Raises:
            ConfigError: a task cannot stand in for itself.
            NotFound: no such task, also of one that is to answer instead.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        require(instead != name, f"{name!r} cannot stand in for itself; name another task, {BARE_BASE} or {NOBODY}")
        others = [] if instead in (None, BARE_BASE, NOBODY) else [instead]
        now = self._changes.now()
        with self._changes.begin() as db:
            require_tasks(db, self._changes.path, [name, *others])
            generation = self._changes.advance(db, expected_generation)
            release_rows.set_disabled(db, name, instead)
            said = {**detail, "instead": instead, "generation": generation}
            rows.append_event(db, event(now, "enable" if instead is None else "disable", name, said))

    def commit_deprecated(self, *, expected_generation: int, ref: Ref, why: str | None, detail: Detail) -> None:
        """Say why a version should not be used any more; None takes that back.

        Raises:
            NotFound: no such version.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        now = self._changes.now()
        with self._changes.begin() as db:
            self._require_version(db, ref)
            generation = self._changes.advance(db, expected_generation)
            release_rows.set_deprecated(db, ref, why)
            said = {**detail, "ref": str(ref), "deprecated": why is not None, "generation": generation}
            rows.append_event(db, event(now, "deprecate", ref.name, said))

    def commit_traffic(self, *, expected_generation: int, name: str, traffic: Traffic | None, detail: Detail) -> None:
        """Begin to try a challenger beside the champion, or end it.

        Raises:
            ConfigError: the challenger is another task's.
            NotFound: no such task or version.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        require(traffic is None or traffic.name == name, f"expected a challenger of {name!r}")
        now = self._changes.now()
        with self._changes.begin() as db:
            require_tasks(db, self._changes.path, [name])
            generation = self._changes.advance(db, expected_generation)
            if traffic is not None:
                self._require_version(db, Ref(name, traffic.version))
                traffic = replace(traffic, since=traffic.since or now)
            release_rows.put_traffic(db, name, traffic)
            tried = {} if traffic is None else {"ref": f"{name}@{traffic.version}", "share": traffic.share}
            said = {**detail, **tried, "generation": generation}
            rows.append_event(db, event(now, "end-traffic" if traffic is None else traffic.mode, name, said))

    def commit_suite(self, *, expected_generation: int, name: str, suite: SuiteRow | None, detail: Detail) -> None:
        """Add a shared evaluation suite or replace one; None removes it.

        Raises:
            InvalidName: a name that cannot be.
            ConfigError: the suite has another name.
            NotFound: there is none to remove.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: its rows were not put.
        """
        check_name(name, "suite name")
        require(suite is None or suite.name == name, f"expected a suite called {name!r}")
        now = self._changes.now()
        with self._changes.begin() as db:
            generation = self._changes.advance(db, expected_generation)
            if suite is None:
                left = release_rows.delete_suite(db, name)
                if not left:
                    raise NotFound(f"there is no suite {name!r} in {self._changes.path}")
            else:
                require_blobs(self._changes.blobs, [suite.digest])
                left = release_rows.put_suite(db, replace(suite, added_at=suite.added_at or now))
            self._changes.retire(db, left, generation)
            said = {**detail, "digest": None if suite is None else suite.digest, "generation": generation}
            rows.append_event(db, event(now, "remove-suite" if suite is None else "add-suite", name, said))

    # Shared by those above

    def _require_version(self, db: sqlite3.Connection, ref: Ref) -> None:
        if adapter_rows.read_digest(db, ref) is None:
            raise NotFound(f"there is no adapter {ref} in {self._changes.path}")

    def _put_ready(self, db: sqlite3.Connection, ready: Ready) -> set[str]:
        """Keep what is ready for a version, whose blobs were put; the digests that it leaves behind."""
        require_blobs(self._changes.blobs, [ready.router.totals, ready.outcomes])
        return release_rows.put_ready(db, ready)
