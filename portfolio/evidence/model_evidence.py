"""`ModelEvidence`: all that a rule may ask of one version, measured with the models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

from portfolio.asking import ReadAgain
from portfolio.champions import champion_of
from portfolio.engine import Engine
from portfolio.errors import DamagedBlob, DataError, NotFound
from portfolio.evidence.cost import ROUNDS, cost
from portfolio.evidence.examination import examine, paper_of
from portfolio.evidence.examples import look, look_misspelt, own_rows, rows_of_file
from portfolio.evidence.integrity import MOST_ROWS, inspect
from portfolio.evidence.promoted import Promoted, promoted, routed
from portfolio.evidence.versions import Version, load_version
from portfolio.evidence.written import read_document, read_written
from portfolio.gates.evidence import Cost, Document, Examples, Integrity, Routed, SuiteResult, Texts, Typos
from portfolio.records import Ready
from portfolio.refs import Ref
from portfolio.tasks.splits import Split
from portfolio.tasks.suite_file import suite_from_bytes

# What is run where a version's own texts cannot be read: only whether it changes anything, and how fast, is asked then.
PLAIN_TEXTS = (
    "where is my order",
    "I would like to change the address of an account, please",
    "the second one works, the first one does not",
    "thank you",
)

_Made = TypeVar("_Made")
_Source = tuple[str, Split]  # where rows came from, and the rows


class ModelEvidence:
    """What can be asked about one version, as of one moment of its portfolio; each thing is measured once, when first asked."""

    def __init__(self, engine: Engine, ref: Ref, read_again: ReadAgain, *, rounds: int = ROUNDS) -> None:
        """
        Args:
            read_again: a task's test rows, for those of other tasks that an adapter must be asked about.
            rounds: of the times that are measured.

        Raises:
            NotFound: there is no such version.
        """
        self._engine = engine
        self._now = engine.refresh()
        self._read_again = functools.cache(read_again)
        self._rounds = rounds
        self._lineage = engine.store.releases.lineage(ref)
        found = [one for one in self._now.snapshot.adapters if one.ref == ref]
        if not found:
            raise NotFound(f"adapter {ref} was removed meanwhile")
        self._record = found[0]
        self._champion_record = champion_of(self._now.snapshot, ref.name)
        self._made: dict[tuple[object, ...], object] = {}

    def examples(self, place: str | None = None) -> Examples:
        """The version's own test rows, or the labelled rows of a file, by the columns of its data.

        Both versions run on them with the task given, each by its own labels. `length` is in tokens, as the base reads them.

        Args:
            place: relative to the portfolio's directory, or `hub:NAME[:CONFIG]`.

        Raises:
            DataError: the rows cannot be read, or are not what they were; or a version cannot be run.
        """

        def made() -> Examples:
            source, split = self._rows(place)
            return look(self._engine, source, split, self._version(), self._champion())

        return self._once(("examples", place), made)

    def typos(self, rate: float, seed: int) -> Typos:
        """The own test rows again, misspelt (misspelling.py). Raises as `examples` does."""

        def made() -> Typos:
            _, split = self._rows(None)
            return look_misspelt(self._engine, split, self._version(), self._champion(), rate, seed)

        return self._once(("typos", rate, seed), made)

    def routed(self) -> Routed:
        """What the router would do with the version as champion, measured on what is kept of every task's test rows.

        Raises:
            DataError: the version cannot be run, so rows that would go to it cannot be asked about.
        """
        return self._once(("routed",), lambda: routed(self._engine, self._promoted()))

    def ready(self) -> Ready | None:
        """What a promotion of the version needs, so that it needs no models; None where the version cannot be run."""
        try:
            return self._promoted().ready(self._engine.store.put)
        except DataError:
            return None

    def integrity(self) -> Integrity:
        """Whether the stored adapter is one, and does something to some of its own texts."""

        def made() -> Integrity:
            split = self._some_rows()
            encoded = self._engine.encode(split.texts[:MOST_ROWS], split.pairs and split.pairs[:MOST_ROWS])
            return inspect(self._engine, self._record, len(self._lineage.labels), encoded)

        return self._once(("integrity",), made)

    def cost(self) -> Cost:
        """Sizes, and times on some of the version's own texts. Raises DataError where a version cannot be run."""

        def made() -> Cost:
            split = self._some_rows()
            return cost(self._engine, self._version(), self._champion(), split.texts, split.pairs, self._rounds)

        return self._once(("cost",), made)

    def suite(self, name: str) -> SuiteResult:
        """The rows of a shared suite that expect something that changes with this version.

        A row that wants a label which the champion lacks is not met by the champion.

        Raises:
            NotFound: there is no such suite.
            DataError: a version cannot be run.
        """
        return self._once(("suite", name), lambda: self._examined(name))

    def texts(self, place: str) -> Texts:
        """Answers that are texts, from a JSONL file that was made with the version.

        Args:
            place: relative to the portfolio's directory; `{name}` and `{version}` in it stand for those of the version.

        Raises:
            DataError: they cannot be read.
        """
        path = self._engine.store.path
        return self._once(("texts", place), lambda: read_written(path, place, self._record.ref))

    def document(self, place: str) -> Document:
        """A text file, relative to the portfolio's directory. Raises DataError where it cannot be read."""
        return read_document(self._engine.store.path, place)

    # What several of these share

    def _once(self, key: tuple[object, ...], make: Callable[[], _Made]) -> _Made:
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]  # type: ignore[assignment]  # by its key, what `make` gave
        return made

    def _rows(self, place: str | None) -> _Source:
        if place is None:
            return self._once(("rows",), lambda: own_rows(self._lineage))
        return rows_of_file(self._engine.store.path, place, self._lineage)

    def _some_rows(self) -> Split:
        """The own test rows; other texts where they cannot be read."""
        try:
            _, split = self._rows(None)
        except DataError:
            split = Split(texts=(), pairs=None, labels=())
        return split if len(split) else Split(texts=PLAIN_TEXTS, pairs=None, labels=("",) * len(PLAIN_TEXTS))

    def _version(self) -> Version:
        return self._once(("version",), lambda: load_version(self._engine, self._record, self._lineage.labels))

    def _champion(self) -> Version | None:
        """Who answers now; None where that is the version itself."""
        record = self._champion_record
        if record.ref == self._record.ref:
            return None
        [labels] = [task.labels for task in self._now.snapshot.tasks if task.name == record.task]
        return self._once(("champion",), lambda: load_version(self._engine, record, labels))

    def _promoted(self) -> Promoted:
        def made() -> Promoted:
            self._version()  # that it can be run
            try:
                return promoted(self._engine, self._now, self._lineage, self._read_again)
            except DamagedBlob as error:
                raise DataError(f"the portfolio cannot be measured with {self._record.ref}: {error}") from error

        return self._once(("promoted",), made)

    def _examined(self, name: str) -> SuiteResult:
        suites = {suite.name: suite for suite in self._engine.store.releases.suites()}
        if name not in suites:
            raise NotFound(f"there is no suite {name!r}; add it with: portfolio suite add {name} FILE")
        rows = suite_from_bytes(self._engine.store.get(suites[name].digest))
        promotion = self._promoted() if any(row.task or row.abstain for row in rows) else None
        return examine(
            self._engine,
            paper_of(self._engine, rows),
            self._version(),
            self._champion(),
            suite=suites[name],
            routers=None if promotion is None else (promotion.router, self._now.router or promotion.router),
        )
