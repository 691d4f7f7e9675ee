"""Whole portfolios on the tiny base: a grown one to read, copies of it to change, and files for more tasks."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import prepare
from portfolio.portfolio import Portfolio
from portfolio.records import AdapterRecord, Results, Snapshot
from portfolio.training import TrainingConfig
from routing.cascade import Cascade, CascadeCalibration, FirstLook
from routing.decision import Decision
from routing.router import Calibration
from routing.statistics import FloatArray, Totals, totals_from_bytes

Words = Mapping[str, Sequence[str]]  # label -> words that say it, all known to the tiny base's tokenizer

PLANTS = ("rose", "tulip", "fern", "moss", "daisy", "ivy")
TOOLS = ("spade", "rake", "hoe", "shears", "trowel", "barrow")
DISHES = ("soup", "stew", "pie", "salad", "curry", "roast")
WARES = ("pan", "ladle", "whisk", "kettle", "grater", "bowl")
SHIPS = ("ferry", "tug", "barge", "yacht", "trawler", "dinghy")
WEATHER = ("storm", "fog", "calm", "gale", "drizzle", "sun")

TASKS: dict[str, Words] = {
    "garden": {"plant": PLANTS, "tool": TOOLS},
    "kitchen": {"dish": DISHES, "tool": WARES},  # `tool` is a label of the garden too
    "harbour": {"ship": SHIPS, "weather": WEATHER},
}
METHODS = {"garden": "bottleneck", "kitchen": "lora", "harbour": "bottleneck"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    train: Path
    test: Path


def _write(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


def _examples(words: Words, rows: int, seed: int) -> list[tuple[str, str]]:
    """Texts of three words that all differ, their labels in turn."""
    draw, labels = random.Random(seed), sorted(words)
    found: dict[str, str] = {}
    while len(found) < rows:
        label = labels[len(found) % len(labels)]
        found[" ".join(draw.sample(words[label], 3))] = label
    return list(found.items())


def _task_files(folder: Path, name: str, words: Words, train_rows: int, test_rows: int, seed: int) -> Files:
    rows = _examples(words, train_rows + test_rows, seed)
    return Files(
        train=_write(folder / f"{name}.train.jsonl", rows[:train_rows]),
        test=_write(folder / f"{name}.test.jsonl", rows[train_rows:]),
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def quick() -> TrainingConfig:
    """Short, as these tests ask what becomes of an adapter, not how good it is."""
    return TrainingConfig(epochs=2, batch_size=16)


@pytest.fixture(scope="session")
def task_files() -> Callable[..., Files]:
    """`task_files(FOLDER, NAME)`: what `files_of` makes, for fixtures that outlive a test."""

    def made(folder: Path, name: str, *, train_rows: int, test_rows: int, seed: int) -> Files:
        return _task_files(folder, name, TASKS[name], train_rows, test_rows, seed)

    return made


@pytest.fixture
def files_of(tmp_path: Path) -> Callable[..., Files]:
    """Train and test files of a task, by the words that say its labels."""

    def made(
        name: str,
        words: Words | None = None,
        *,
        train_rows: int = 24,
        test_rows: int = 10,
        seed: int = 0,
        folder: Path | None = None,
    ) -> Files:
        return _task_files(folder or tmp_path / "files", name, words or TASKS[name], train_rows, test_rows, seed)

    return made


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """A file of these rows, (text, label)."""

    def made(name: str, rows: Sequence[tuple[str, str]]) -> Path:
        return _write(tmp_path / "files" / name, rows)

    return made


@pytest.fixture
def examples_in() -> Callable[[Path], tuple[list[str], list[str]]]:
    """The texts and labels of a file."""

    def read(path: Path) -> tuple[list[str], list[str]]:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [row["text"] for row in rows], [row["label"] for row in rows]

    return read


@pytest.fixture(scope="session")
def _grown(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base, quick: TrainingConfig) -> Path:
    """A folder with the portfolio `grown` of the three tasks and their `files`."""
    folder = tmp_path_factory.mktemp("whole")
    portfolio = Portfolio.init(folder / "grown", tiny_base)
    for name, words in TASKS.items():
        files = _task_files(folder / "files", name, words, train_rows=24, test_rows=10, seed=0)
        portfolio.add_task(name, files.train, test=files.test, method=METHODS[name], training=quick)
    portfolio.close()
    return folder


@pytest.fixture
def empty(tmp_path: Path, tiny_base: Base) -> Iterator[Portfolio]:
    """A portfolio without tasks."""
    portfolio = Portfolio.init(tmp_path / "empty", tiny_base)
    yield portfolio
    portfolio.close()


@pytest.fixture
def grown(tmp_path: Path, _grown: Path, tiny_base: Base) -> Iterator[Portfolio]:
    """A portfolio of three tasks, for a test that may change it."""
    shutil.copytree(_grown / "grown", tmp_path / "grown")
    portfolio = Portfolio.open(tmp_path / "grown", base=tiny_base)
    yield portfolio
    portfolio.close()


@pytest.fixture
def grown_files(_grown: Path) -> dict[str, Files]:
    """The files that the grown portfolio was made of. Do not change them."""
    folder = _grown / "files"
    return {name: Files(train=folder / f"{name}.train.jsonl", test=folder / f"{name}.test.jsonl") for name in TASKS}


@pytest.fixture
def opened(tiny_base: Base) -> Iterator[Callable[[Path], Portfolio]]:
    """More eyes on a portfolio's directory, as another process would have."""
    portfolios: list[Portfolio] = []

    def again(path: Path) -> Portfolio:
        portfolios.append(Portfolio.open(path, base=tiny_base))
        return portfolios[-1]

    yield again
    for portfolio in reversed(portfolios):
        portfolio.close()


@pytest.fixture
def totals_of() -> Callable[[Portfolio], Totals]:
    """The router's sums as they are stored."""

    def read(portfolio: Portfolio) -> Totals:
        state = portfolio.snapshot().router
        assert state is not None
        return totals_from_bytes(portfolio.store.get(state.totals))

    return read


@pytest.fixture
def cell_of() -> Callable[..., object]:
    """The cell of a snapshot by its step and task, or None."""

    def find(snapshot: Snapshot, step: str, task: str) -> object:
        return next((cell for cell in snapshot.cells if (cell.step, cell.task) == (step, task)), None)

    return find


# Under which no look and no task's own covariance is left out
_EVERYTHING = CascadeCalibration(
    whole=Calibration(threshold=-20.0, temperature=4.0, shrinkage=0.3, own_share=0.2),
    first=FirstLook(margin=0.5, in_scope=-20.0, temperature=4.0),
)


@pytest.fixture
def same_router(totals_of: Callable[[Portfolio], Totals]) -> Callable[[Portfolio, Portfolio, Sequence[str]], None]:
    """Nothing, if two portfolios' routers agree to 1e-9 in sums, settings and every figure, in whatever order of tasks."""

    def require(one: Portfolio, other: Portfolio, texts: Sequence[str]) -> None:
        ours, theirs = totals_of(one), totals_of(other)
        assert (ours.rows, ours.classes) == (theirs.rows, theirs.classes)
        np.testing.assert_allclose(ours.feature_sum, theirs.feature_sum, rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.within, theirs.within, rtol=0, atol=1e-9)
        assert _settings_of(one) == pytest.approx(_settings_of(other), rel=1e-9, abs=1e-9)
        engine = one.engine()
        features = engine.view(prepare(engine.host, engine.encode(texts, None)).features)
        mine, others = one.engine().refresh().router, other.engine().refresh().router
        assert mine is not None and others is not None
        _require_same_figures(mine, others, features)
        _require_same_figures(mine.calibrated(_EVERYTHING), others.calibrated(_EVERYTHING), features)

    return require


def _settings_of(portfolio: Portfolio) -> dict[str, float | None]:
    """All numbers that calibration chose, by name."""
    state = portfolio.snapshot().router
    names = ("threshold", "temperature", "shrinkage", "own_share", "ece_before", "ece", "asked")
    look = None if state is None else state.first_look
    first = {} if look is None else {f"first {name}": value for name, value in asdict(look).items()}
    return {**{name: getattr(state, name) for name in names}, **first}


def _require_same_figures(one: Cascade, other: Cascade, features: FloatArray) -> None:
    """Of both looks, for every row."""
    assert (one.first is None) == (other.first is None)
    for mine, others in ((one.first, other.first), (one.whole, other.whole)):
        if mine is None or others is None:
            continue
        ours, theirs = (look.route(features[:, : look.width], top_k=len(look.tasks)) for look in (mine, others))
        for row, expected in zip(ours, theirs, strict=True):
            assert _figures(row) == pytest.approx(_figures(expected), rel=1e-9, abs=1e-9)


def _figures(decision: Decision) -> dict[str, float]:
    chances = dict(zip(decision.tasks, decision.scores, strict=True))
    near = {f"{one.task} {one.number}": one.squared_distance for one in decision.nearest}
    return {**chances, **near, "in scope": decision.in_scope, "refused": decision.abstain}


@pytest.fixture
def settle() -> Callable[..., None]:
    """Put other settings into a portfolio's router, so that a test says what its texts meet."""

    def put(portfolio: Portfolio, **settings: Any) -> None:
        snapshot = portfolio.snapshot()
        assert snapshot.router is not None
        router = replace(snapshot.router, **settings)
        portfolio.store.commit_router(
            expected_generation=snapshot.generation, router=router, results=Results(), detail={}
        )

    return put


@pytest.fixture
def blocks_run() -> Iterator[Callable[[Host], list[int]]]:
    """`blocks_run(HOST)` is a list that grows by a block's number for each row that goes through the block."""
    handles = []

    def watch(host: Host) -> list[int]:
        ran: list[int] = []

        def count(number: int) -> Callable[..., None]:
            return lambda module, inputs, output: ran.extend([number] * len(output))

        for number, block in enumerate(host.blocks):
            # a layer that computes: the block itself is called also where its gate skips it, its attention where it is kept
            part = next(module for module in block.modules() if isinstance(module, (nn.Linear, Conv1D)))
            handles.append(part.register_forward_hook(count(number)))
        return ran

    yield watch
    for handle in handles:
        handle.remove()


@pytest.fixture
def second(grown: Portfolio, files_of: Callable[..., Files], quick: TrainingConfig) -> Callable[..., AdapterRecord]:
    """`second(NAME)` trains the next version of a task's adapter in the grown portfolio; on other words, if they are given."""

    def made(name: str, words: Words | None = None, *, seed: int = 1) -> AdapterRecord:
        files = files_of(name, words, seed=seed)
        return grown.add_task(name, files.train, test=files.test, again=True, training=quick)

    return made


@pytest.fixture
def promote() -> Callable[[Portfolio, str, int], object]:
    """`promote(PORTFOLIO, NAME, VERSION)`, whatever the gate would say."""
    return lambda portfolio, name, version: portfolio.releases.promote(f"{name}@{version}", force="for a test")
