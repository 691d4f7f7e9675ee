"""Made-up portfolios: no store, no base, only the records that a report reads, and what became of their test rows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from portfolio.outcomes import NOBODY, UNASKED, Outcomes, TaskOutcomes
from portfolio.records import (
    AdapterRecord,
    Attention,
    BaseContract,
    Cell,
    Moment,
    RouterState,
    Snapshot,
    Source,
    TaskRecord,
)

Matrix = Sequence[Sequence[float | None]]

_FIRST_DAY = datetime(2026, 11, 1, 10, tzinfo=timezone.utc)


def _task(name: str) -> TaskRecord:
    return TaskRecord(
        name=name,
        kind="classification",
        labels=("no", "yes"),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=(
            Source(split="train", path=f"/data/{name}/train.csv", sha256="a" * 64, rows=100),
            Source(split="validation", path=f"/data/{name}/train.csv", sha256="b" * 64, rows=10, held_out_of="train"),
            Source(split="test", path=f"/data/{name}/test.csv", sha256="c" * 64, rows=20),
        ),
        seed=0,
        reading="{}",
        centroids="d" * 64,
        scatter="e" * 64,
        evaluation="f" * 64,
        notes=("the label column was guessed",),
        added_at="2026-03-04T10:11:09Z",
    )


def _adapter(task: str) -> AdapterRecord:
    return AdapterRecord(
        name=task,
        version=1,
        task=task,
        digest="0123456789abcdef" * 4,
        method="bottleneck",
        config='{"activation":"relu","rank":8}',
        training='{"epochs":5}',
        parameters=1200,
        bytes=5000,
        seconds=2.5,
        epochs=3,
        seed=0,
        validation_score=0.9,
        notes=("stopped early",),
        created_at="2026-03-04T10:11:09Z",
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved while the test runs."""
    saved: list[Figure] = []
    real = Figure.savefig

    def remember(figure: Figure, *args: Any, **options: Any) -> None:
        saved.append(figure)
        real(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


@pytest.fixture
def snapshot_of() -> Callable[..., Snapshot]:
    """A portfolio whose two results matrices are given; the other scores are the same in every cell."""

    def build(oracle: Matrix, routed: Matrix | None = None, names: Sequence[str] | None = None) -> Snapshot:
        names = names if names is not None else [f"task{index}" for index in range(len(oracle))]
        routed = routed if routed is not None else oracle
        cells = [
            Cell(
                step=step,
                task=task,
                rows=20,
                oracle=oracle[i][j],
                routed=routed[i][j],
                routing=0.875,
                coverage=0.75,
                selective=0.625,
                floor=0.5,
                baseline=0.25,
            )
            for i, step in enumerate(names)
            for j, task in enumerate(names[: i + 1])
        ]
        return Snapshot(
            generation=len(names),
            contract=BaseContract(
                name="tiny",
                revision=None,
                fingerprint="9" * 64,
                model_type="bert",
                hidden_size=8,
                blocks=2,
                trunk=1,
                pooling="mean",
                max_tokens=16,
                feature_blocks=(1, 2),
            ),
            tasks=tuple(map(_task, names)),
            adapters=tuple(map(_adapter, names)),
            cells=tuple(cells),
            router=RouterState(totals="8" * 64, threshold=-1.0, temperature=1.0, shrinkage=0.5) if names else None,
        )

    return build


@pytest.fixture
def attention_of() -> Callable[..., Attention]:
    """An attention whose weights are given by label, block and member; all rows are spread evenly over the labels."""

    def build(
        by_label: Sequence[Matrix], members: Sequence[str] | None = None, labels: Sequence[str] | None = None
    ) -> Attention:
        weights = tuple(tuple(tuple(float(share or 0) for share in block) for block in label) for label in by_label)
        blocks, width = len(weights[0]), len(weights[0][0])
        return Attention(
            members=tuple(members or (f"m{member}@1" for member in range(width))),
            blocks=tuple(range(2, 2 + blocks)),
            rows=120,
            mean=tuple(
                tuple(sum(label[block][member] for label in weights) / len(weights) for member in range(width))
                for block in range(blocks)
            ),
            labels=tuple(labels or (f"label{label}" for label in range(len(weights)))),
            by_label=weights,
        )

    return build


class Screen:
    """A terminal of a given width and encoding whose text can be read back."""

    def __init__(self, width: int = 80, encoding: str = "utf-8", color: bool = False) -> None:
        self._bytes = io.BytesIO()
        self.console = Console(
            file=io.TextIOWrapper(self._bytes, encoding=encoding, write_through=True),
            width=width,
            color_system="standard" if color else None,
            force_terminal=color,
            no_color=not color,
            legacy_windows=False,
            _environ={},
        )
        self._encoding = encoding

    def text(self) -> str:
        return self._bytes.getvalue().decode(self._encoding)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text().splitlines()]


@pytest.fixture
def screen() -> Callable[..., Screen]:
    return Screen


def _read_outcomes(rows: Mapping[str, str]) -> Outcomes:
    """Test rows by task, a word each: `+` right at home, `-` wrong at home; otherwise where the row went instead.

    `cards` took it with a lead of 0.5, is wrong, and the own task is second and would be right; `cards!` the same, but the
    own task is not second; `cards-` would be wrong at home, too; `cards+` is right by luck; `cards?` could not be asked.
    """
    names = tuple(rows)
    return Outcomes(names=names, tasks=tuple(_read_rows(names, task, line.split()) for task, line in rows.items()))


def _read_rows(names: Sequence[str], task: str, words: Sequence[str]) -> TaskOutcomes:
    astray = [word not in "+-" for word in words]
    right = [UNASKED if word.endswith("?") else int(word.endswith("+")) for word in words]
    own = names.index(task)
    seconds = [own if out and not word.endswith("!") else NOBODY for word, out in zip(words, astray, strict=True)]
    return TaskOutcomes(
        task=task,
        own_right=np.array([not word.endswith("-") for word in words], dtype=np.bool_),
        chosen=np.array([names.index(word.rstrip("!-+?") or task) for word in words], dtype=np.int32),
        right=np.array(right, dtype=np.int8),
        kept=np.ones(len(words), dtype=np.bool_),
        runner_up=np.array(seconds, dtype=np.int32),
        lead=np.array([0.5 if out else 0.0 for out in astray], dtype=np.float32),
    )


@dataclass
class History:
    """A portfolio with what was kept at its changes."""

    snapshot: Snapshot
    outcomes: dict[str, Outcomes]
    loaded: list[str] = field(default_factory=list)

    def load(self, digest: str) -> Outcomes:
        self.loaded.append(digest)
        return self.outcomes[digest]

    def without_rows_of(self, *steps: str) -> History:
        """As one that was begun before rows were kept."""
        moments = tuple(moment for moment in self.snapshot.moments if moment.step not in steps)
        return History(snapshot=replace(self.snapshot, moments=moments), outcomes=self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as the store gives it."""

    at: str
    action: str
    subject: str
    detail: str


@pytest.fixture
def events_of() -> Callable[..., list[Told]]:
    """Events a day each from 1 November 2026, 10:00 UTC: action, subject, and what it says; or at the times given."""

    def build(*events: tuple[str, str, Mapping[str, Any]], times: Sequence[str] | None = None) -> list[Told]:
        days = [(_FIRST_DAY + timedelta(days=day)).isoformat() for day in range(len(events))]
        return [
            Told(at=at, action=action, subject=subject, detail=json.dumps(detail))
            for at, (action, subject, detail) in zip(times or days, events, strict=True)
        ]

    return build


@pytest.fixture
def outcomes_of() -> Callable[[Mapping[str, str]], Outcomes]:
    return _read_outcomes


@pytest.fixture
def history_of(snapshot_of: Callable[..., Snapshot]) -> Callable[..., History]:
    """A portfolio told by its changes, a day each from 1 November 2026: action, subject, and the rows after it."""

    def build(*changes: tuple[str, str, Mapping[str, str]]) -> History:
        names: list[str] = []
        cells: dict[tuple[str, str], Cell] = {}
        moments: list[Moment] = []
        outcomes: dict[str, Outcomes] = {}
        for generation, (action, subject, rows) in enumerate(changes, start=1):
            if action == "add-task":
                names.append(subject)
            if action == "remove-task":
                names.remove(subject)
                cells = {key: cell for key, cell in cells.items() if subject not in key}
            digest, step = f"{generation:064d}", names[-1]
            outcomes[digest] = _read_outcomes(rows)
            for one in outcomes[digest].tasks:
                cells[step, one.task] = _cell(step, one)
            at = (_FIRST_DAY + timedelta(days=generation - 1)).isoformat()
            moments.append(
                Moment(generation=generation, at=at, action=action, subject=subject, step=step, outcomes=digest)
            )
        empty = snapshot_of([], names=[])
        tasks, adapters = tuple(map(_task, names)), tuple(map(_adapter, names))
        snapshot = replace(
            empty,
            generation=len(changes),
            tasks=tasks,
            adapters=adapters,
            cells=tuple(cells.values()),
            moments=tuple(moments),
        )
        return History(snapshot=snapshot, outcomes=outcomes)

    return build


def _cell(step: str, rows: TaskOutcomes) -> Cell:
    is_known = not (rows.right == UNASKED).any()
    routed = float((rows.right == 1).mean()) if is_known else None
    return Cell(step=step, task=rows.task, rows=len(rows.right), oracle=float(rows.own_right.mean()), routed=routed)
