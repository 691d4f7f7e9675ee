"""Made-up portfolios: no store, no base, only the records that a report reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console

from portfolio.records import AdapterRecord, Attention, BaseContract, Cell, RouterState, Snapshot, Source, TaskRecord

Matrix = Sequence[Sequence[float | None]]


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
