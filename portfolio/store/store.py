"""Store: a portfolio on disk. One method for one intention, one transaction for one method.

Blobs are written before the transaction that refers to them, so a process that dies at any instant leaves the old
state or the new one, and at worst blobs that nothing refers to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from portfolio.errors import DamagedBlob, NotFound, require
from portfolio.members import require_unneeded
from portfolio.records import CHAMPION, AdapterRecord, BaseContract, Results, RouterState, Snapshot, TaskRecord
from portfolio.refs import check_name, check_tag
from portfolio.store import adapter_rows, release_rows, result_rows, rows
from portfolio.store.blobs import Blobs
from portfolio.store.changes import Change, Changes, Clock, GenerationMoved, event, iso_now, package_version, utc_now
from portfolio.store.consistency import (
    put_router,
    require_blobs,
    require_free,
    require_members,
    require_no_stand_in,
    require_own,
    require_tasks,
)
from portfolio.store.creation import BLOBS, CONTRACT, DATABASE, create_layout
from portfolio.store.database import Database
from portfolio.store.durable import write_whole
from portfolio.store.garbage import Garbage, delete_garbage, find_garbage
from portfolio.store.references import is_of_the_past, task_blobs
from portfolio.store.release_rows import lineage_of
from portfolio.store.releases import ReleaseStore
from portfolio.store.rows import Event
from portfolio.store.schema import require_known_schema
from portfolio.store.verify import Fault, find_faults


class Store(contextlib.AbstractContextManager["Store"]):
    """A portfolio's directory, for many threads and many processes at once. Nothing stays open between calls."""

    def __init__(self, path: Path, contract: BaseContract, clock: Clock) -> None:
        """For `create` and `open`, which are the ways to get a store."""
        self.path = path
        self.contract = contract
        self._clock = clock
        self._database = Database(path / DATABASE)
        self._blobs = Blobs(path / BLOBS)
        self._changes = Changes(path, self._database, self._blobs, clock)
        self.releases = ReleaseStore(self._changes)

    @classmethod
    def create(cls, path: Path, contract: BaseContract, *, clock: Clock = utc_now) -> Store:
        """A new portfolio without tasks, whole or not at all; directories above it are made as needed.

        Raises:
            Conflict: `path` is a portfolio, a file, or a directory with something in it.
            Unwritable: the disk is full or a directory read-only; what was there is unchanged.
        """
        root = Path(path).absolute()
        create_layout(root, contract, iso_now(clock))
        return cls(root, contract, clock)

    @classmethod
    def open(cls, path: Path, *, clock: Clock = utc_now) -> Store:
        """The portfolio at `path`; for reading, its directory may be read-only.

        One of an older schema is read as it is; the first change migrates it.

        Raises:
            NotFound: there is no portfolio.
            SchemaTooNew: a later version of this package wrote it.
            StoreError: its database is damaged.
        """
        root = Path(path).absolute()
        if not (root / DATABASE).is_file():
            raise NotFound(f"no portfolio at {path}; make one with: portfolio -p {shlex.quote(str(path))} init")
        database = Database(root / DATABASE)
        with database.reading() as db:
            require_known_schema(db, database.path)
            contract, contract_json = rows.read_contract(db), rows.read_contract_json(db)
        if not (root / CONTRACT).exists():  # a copy for people, left out by a process killed in `create`
            with contextlib.suppress(OSError):
                write_whole(root / CONTRACT, contract_json.encode())
        return cls(root, contract, clock)

    def close(self) -> None:
        """Nothing to do: each call closes what it opened. Here so that a store works in a `with` statement."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Reading

    def snapshot(self, *, history: bool = True) -> Snapshot:
        """Everything but events and bytes, read in one transaction.

        Args:
            history: the results of every step; otherwise those of the last alone: of 1,000 tasks one row of 1,000.
        """
        with self._database.reading() as db:
            return Snapshot(
                generation=rows.read_generation(db),
                contract=rows.read_contract(db),
                tasks=rows.read_tasks(db),
                adapters=adapter_rows.read_adapters(db),
                cells=result_rows.read_cells(db, history=history),
                router=rows.read_router(db),
                moments=rows.read_moments(db),
                aliases=release_rows.read_aliases(db),
                traffic=release_rows.read_traffic(db),
            )

    def generation(self) -> int:
        """The generation a snapshot would have now: the cheap way to see that nothing changed."""
        with self._database.reading() as db:
            return rows.read_generation(db)

    def events(self) -> tuple[Event, ...]:
        """What ever happened to this portfolio, oldest first. Events are never changed or removed."""
        with self._database.reading() as db:
            return rows.read_events(db)

    def get(self, digest: str) -> bytes:
        """The bytes of a blob, checked against the digest.

        Raises:
            DamagedBlob: the file is missing, or its bytes have another digest.
            GenerationMoved: only an earlier state of the portfolio needed it, and it was deleted since.
        """
        try:
            return self._blobs.get(digest)
        except DamagedBlob:
            with self._database.reading() as db:
                is_past = is_of_the_past(db, digest)
            if self._blobs.has(digest):
                return self._blobs.get(digest)  # it is damaged, or was put again meanwhile
            if is_past:
                raise GenerationMoved(
                    f"blob {digest} belonged to an earlier state of {self.path} and was deleted since; "
                    "read a new snapshot"
                ) from None
            raise

    def mapped(self, digest: str) -> mmap.mmap:
        """The bytes of a blob, memory-mapped: what is read of them is not checked against the digest.

        Raises:
            DamagedBlob: the file is missing or empty.
        """
        return self._blobs.mapped(digest)

    def verify(self) -> tuple[Fault, ...]:
        """Everything found wrong or left over, after reading the whole portfolio; see verify.py."""
        return find_faults(self._database, self._blobs, self.path)

    # Writing

    def check_writable(self) -> None:
        """Raise `Unwritable` now rather than after an hour of training."""
        self._blobs.require_room()
        with self._database.writing():
            pass

    def gc(self, *, dry_run: bool) -> tuple[Garbage, ...]:
        """What nothing needs, after deleting it; see garbage.py. The portfolio stays as it is, at the same generation.

        Args:
            dry_run: delete nothing.

        Raises:
            StoreError: the database is damaged, so that what it needs is not certain.
            Unwritable: something cannot be deleted.
        """
        now_s = self._clock().timestamp()
        with self._database.reading() if dry_run else self._database.writing() as db:
            require_known_schema(db, self._database.path)
            return (find_garbage if dry_run else delete_garbage)(db, self._blobs, self.path, now_s)

    def put(self, data: bytes) -> str:
        """The digest of `data`, which is safe on the disk when this returns; cheap for bytes that are there already.

        Raises:
            Unwritable: the disk is full or the directory read-only.
        """
        return self._blobs.put(data)

    def commit_task(
        self,
        *,
        expected_generation: int,
        task: TaskRecord,
        adapters: Sequence[AdapterRecord],
        router: RouterState,
        results: Results,
    ) -> None:
        """Add a task with one or more versions of its adapter, and the router and results that go with it.

        A cell takes the place of an earlier one of the same step and task. Empty times are filled from the clock.
        What became of the test rows is kept for ever.

        Args:
            adapters: all called as the task, by rising versions; the last one becomes the champion. Their members are
                earlier ones among them, or other tasks' adapters.

        Raises:
            Conflict: the name is taken, or a member is another one than it was.
            NotFound: a member is no longer there.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: a blob that a record names was not put.
        """
        check_name(task.name, "task name")
        _check_tags(dict(task.tags))
        require_own(task.name, adapters)
        now = iso_now(self._clock)
        dated = [dataclasses.replace(adapter, created_at=adapter.created_at or now) for adapter in adapters]
        with self._changes.begin() as db:
            require_free(db, self.path, task.name)
            require_members(db, self.path, adapters)
            generation = self._changes.advance(db, expected_generation)
            require_blobs(self._blobs, (task.centroids, task.scatter, task.evaluation, *_blobs_of(adapters)))
            rows.insert_task(db, dataclasses.replace(task, added_at=task.added_at or now))
            adapter_rows.insert_adapters(db, dated)
            for one in dated:
                lineage = lineage_of(task, one.version, base=self.contract.fingerprint, code=package_version())
                release_rows.insert_lineage(db, lineage)
            release_rows.put_alias(db, task.name, CHAMPION, dated[-1].version)
            left = put_router(db, self._blobs, router)
            self._changes.put_results(db, results, Change(generation, now, "add-task", task.name))
            self._changes.retire(db, left, generation)
            held = {} if task.disabled is None else {"instead": task.disabled}
            detail = {**_on_record(adapters), **held, "generation": generation}
            rows.append_event(db, event(now, "add-task", task.name, detail))

    def commit_removal(
        self, *, expected_generation: int, names: Sequence[str], router: RouterState | None, results: Results
    ) -> None:
        """Remove tasks with their adapters, aliases and results. Their events stay on record, one more for each.

        Their blobs stay on disk for some more changes; see references.py.

        Args:
            router: the state without the tasks; None if and only if no task is left.
            results: what was measured again, of the last remaining step.

        Raises:
            NotFound: no such task.
            Conflict: an adapter of a task that stays is made of one that would go, or one that would go answers in the place
                of a disabled one that stays.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        require(len(names) == len(set(names)) > 0, f"expected one or more tasks, each once, got: {', '.join(names)}")
        now = iso_now(self._clock)
        with self._changes.begin() as db:
            require_tasks(db, self.path, names)
            adapters = adapter_rows.read_adapters(db)
            require_unneeded(adapters, names)
            require_no_stand_in(db, self.path, names)
            generation = self._changes.advance(db, expected_generation)
            left = {digest for name in names for digest in task_blobs(db, name)}
            adapter_rows.delete_adapters(db, names)
            for name in names:
                result_rows.delete_results(db, name)
                rows.delete_task(db, name)
                detail = {
                    **_on_record([adapter for adapter in adapters if adapter.task == name]),
                    "generation": generation,
                }
                rows.append_event(db, event(now, "remove-task", name, detail))
            left |= put_router(db, self._blobs, router)
            self._changes.put_results(db, results, Change(generation, now, "remove-task", ", ".join(names)))
            self._changes.retire(db, left, generation)

    def commit_results(self, *, expected_generation: int, results: Results) -> None:
        """Write results that were measured again, each in the place of an earlier one of the same step and task.

        Raises:
            NotFound: a cell names a task that is not there.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        now = iso_now(self._clock)
        with self._changes.begin() as db:
            generation = self._changes.advance(db, expected_generation)
            steps = ", ".join(dict.fromkeys(cell.step for cell in results.cells))
            self._changes.put_results(db, results, Change(generation, now, "measure", steps))
            rows.append_event(db, event(now, "measure", steps, {"cells": len(results.cells), "generation": generation}))

    def commit_router(
        self,
        *,
        expected_generation: int,
        router: RouterState,
        results: Results,
        action: str = "calibrated",
        detail: Mapping[str, object],
    ) -> None:
        """Replace the router's state over the same tasks, with the results it changes.

        Args:
            results: what was measured again, of the last step.
            action: what the event calls this change.
            detail: what the event says of it, as JSON.

        Raises:
            NotFound: a cell names a task that is not there.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
            DamagedBlob: a blob that the state names was not put.
        """
        now = iso_now(self._clock)
        with self._changes.begin() as db:
            generation = self._changes.advance(db, expected_generation)
            left = put_router(db, self._blobs, router)
            self._changes.put_results(db, results, Change(generation, now, action, "router"))
            self._changes.retire(db, left, generation)
            rows.append_event(db, event(now, action, "router", {**detail, "generation": generation}))

    def commit_tags(self, *, expected_generation: int, name: str, tags: Mapping[str, str]) -> None:
        """Replace all tags of a task; none leaves it without.

        Raises:
            InvalidName: a tag that is not allowed.
            NotFound: no such task.
            GenerationMoved: the portfolio changed since generation `expected_generation`.
        """
        _check_tags(tags)
        now = iso_now(self._clock)
        with self._changes.begin() as db:
            require_tasks(db, self.path, [name])
            generation = self._changes.advance(db, expected_generation)
            old = rows.set_tags(db, name, tags)
            detail = {"old": old, "new": dict(tags), "generation": generation}
            rows.append_event(db, event(now, "tagged", name, detail))


def _check_tags(tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        check_tag(key, value)


def _blobs_of(adapters: Sequence[AdapterRecord]) -> list[str]:
    named = [digest for adapter in adapters for digest in (adapter.digest, adapter.attention)]
    return [digest for digest in named if digest is not None]


def _on_record(adapters: Sequence[AdapterRecord]) -> dict[str, object]:
    """What an event says of adapters: their digests, and what some are made of."""
    digests = {str(adapter.ref): adapter.digest for adapter in adapters}
    members = {str(adapter.ref): [str(member.ref) for member in adapter.members] for adapter in adapters}
    made_of = {ref: refs for ref, refs in members.items() if refs}
    return {"adapters": digests, **({"members": made_of} if made_of else {})}
