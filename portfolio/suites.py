"""Shared evaluation suites: texts that every adapter is judged on, whatever its task. `Portfolio.suites` is one of these.

A suite is its owner's own examination paper, so its texts are kept, unlike those of any task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.champions import champions_of, find_adapter
from portfolio.errors import NotFound
from portfolio.refs import check_name
from portfolio.store.changes import until_it_stands
from portfolio.store.release_rows import SuiteRow
from portfolio.store.store import Store
from portfolio.tasks.suite_file import SuiteText, read_suite, suite_from_bytes, suite_to_bytes

if TYPE_CHECKING:
    from portfolio.engine import Engine
    from portfolio.reports.suites import SuiteReport


class Suites:
    """The suites of one portfolio."""

    def __init__(self, store: Store, engine: Callable[[], Engine]) -> None:
        """For `Portfolio.suites`.

        Args:
            engine: called by `run` alone; loads the base then.
        """
        self._store = store
        self._engine = engine

    def add(self, name: str, file: str | Path, *, dry_run: bool = False) -> SuiteRow:
        """Keep the texts of a file, with what they expect, under this name; in the place of a suite that is called so.

        Args:
            file: of any kind that `add_task` reads; see portfolio/tasks/suite_file.py for its columns.

        Raises:
            InvalidName: of the suite.
            DataError: some rows cannot be used; all faults are named together.
            Unwritable: nothing is changed.
        """
        check_name(name, "suite name")
        read = read_suite(file)
        blob = suite_to_bytes(read.rows)
        if dry_run:
            return SuiteRow(name=name, digest="", rows=len(read.rows), source=read.source)
        suite = SuiteRow(name=name, digest=self._store.put(blob), rows=len(read.rows), source=read.source)
        self._commit(name, suite)
        return self._found(name)

    def list(self) -> tuple[SuiteRow, ...]:
        """All, by name."""
        return self._store.releases.suites()

    def rows(self, name: str) -> tuple[SuiteText, ...]:
        """Its texts, with what they expect.

        Raises:
            NotFound: there is no such suite.
        """
        return suite_from_bytes(self._store.get(self._found(name).digest))

    def remove(self, name: str, *, dry_run: bool = False) -> SuiteRow:
        """Forget it; what went, or would go.

        Raises:
            NotFound: there is no such suite.
        """
        suite = self._found(name)
        if not dry_run:
            self._commit(name, None)
        return suite

    def run(self, name: str | None = None, refs: Sequence[str] | None = None) -> SuiteReport:
        """What adapters and the router make of one suite, or of all, and how far the adapters are from each other there.

        Args:
            refs: `name`, `name@version` or `name@alias`; every champion by default.

        Raises:
            NotFound: no such suite or version, or no suite or task at all.
        """
        wanted = self.list() if name is None else (self._found(name),)
        if not wanted:
            raise NotFound("there is no suite yet; add one with: portfolio suite add NAME FILE")
        from portfolio.evidence.suite_run import run_suites

        rows = {suite: suite_from_bytes(self._store.get(suite.digest)) for suite in wanted}
        engine = self._engine()
        now = engine.refresh()
        if refs is None:
            records = list(champions_of(now.snapshot).values())
        else:
            records = [find_adapter(now.snapshot, ref) for ref in dict.fromkeys(refs)]
        if not records:
            raise NotFound("there is no adapter yet; add a task with: portfolio add-task NAME --train FILE")
        return run_suites(engine, now, rows, records)

    def _found(self, name: str) -> SuiteRow:
        suites = {suite.name: suite for suite in self.list()}
        if name not in suites:
            there = ", ".join(suites) or "none yet; add one with: portfolio suite add NAME FILE"
            raise NotFound(f"there is no suite {name!r}; the suites here: {there}")
        return suites[name]

    def _commit(self, name: str, suite: SuiteRow | None) -> None:
        until_it_stands(
            lambda: self._store.releases.commit_suite(
                expected_generation=self._store.generation(), name=name, suite=suite, detail={}
            )
        )
