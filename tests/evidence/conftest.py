"""A small portfolio with versions to judge: three tasks on the tiny base, one of them trained again in two ways.

`garden@1` answers. `garden@2` learned other rows, among them a label that the first lacks. `garden@3` learned the rows of
the first for longer, so the router knows it by the same statistics. `garden@4` is the second with updates drawn at random, as
what is learned in a moment may be no update at all.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from portfolio.champions import find_adapter
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.hosting.base import Base
from portfolio.hosting.weights import AdapterWeights, to_bytes
from portfolio.loading import load_plain
from portfolio.portfolio import Portfolio
from portfolio.refs import Ref
from portfolio.tasks.recipe import read_test_again
from portfolio.training import TrainingConfig

Words = Mapping[str, Sequence[str]]
Change = Callable[[AdapterWeights], AdapterWeights]

PLANTS, TOOLS = (
    ("rose", "tulip", "fern", "moss", "daisy", "ivy"),
    ("spade", "rake", "hoe", "shears", "trowel", "barrow"),
)
DISHES, WARES = (
    ("soup", "stew", "pie", "salad", "curry", "roast"),
    ("pan", "ladle", "whisk", "kettle", "grater", "bowl"),
)
SHIPS, SKIES = (
    ("ferry", "tug", "barge", "yacht", "trawler", "dinghy"),
    ("storm", "fog", "calm", "gale", "drizzle", "sun"),
)
MUSIC = ("violin", "opera", "drum", "flute", "choir", "banjo")

GARDEN: Words = {"plant": PLANTS, "tool": TOOLS}
KITCHEN: Words = {"dish": DISHES, "tool": WARES}  # `tool` is a label of the garden too
HARBOUR: Words = {"ship": SHIPS, "weather": SKIES}
GARDEN_2: Words = {"plant": (*PLANTS, *DISHES), "tool": (*TOOLS, *WARES), "music": MUSIC}
TENANTS = ("north", "south")


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _rows(words: Words, count: int, seed: int) -> list[dict[str, object]]:
    """Texts of three words that all differ, their labels in turn, their tenants in turn."""
    draw, found = random.Random(seed), {}
    while len(found) < count:
        label = sorted(words)[len(found) % len(words)]
        found[" ".join(draw.sample(words[label], 3))] = label
    return [
        {"text": text, "label": label, "tenant": TENANTS[n // 2 % 2]} for n, (text, label) in enumerate(found.items())
    ]


def _files(folder: Path, name: str, words: Words, seed: int) -> tuple[Path, Path]:
    rows = _rows(words, 40, seed)
    return (
        write_rows(folder / f"{name}.train.jsonl", rows[:28]),
        write_rows(folder / f"{name}.test.jsonl", rows[28:]),
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def _judged(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> Path:
    """A folder with the portfolio and the `files` it was made of."""
    folder = tmp_path_factory.mktemp("evidence")
    quick = TrainingConfig(epochs=2, batch_size=16)
    portfolio = Portfolio.init(folder / "portfolio", tiny_base)
    for name, words, method in (
        ("garden", GARDEN, "bottleneck"),
        ("kitchen", KITCHEN, "lora"),
        ("harbour", HARBOUR, "lora"),
    ):
        train, test = _files(folder / "files", name, words, seed=0)
        portfolio.add_task(name, train, test=test, method=method, training=quick)
    train, test = _files(folder / "files", "garden-2", GARDEN_2, seed=1)
    portfolio.add_task("garden", train, test=test, again=True, training=quick)
    portfolio.add_task("garden", folder / "files" / "garden.train.jsonl", test=folder / "files" / "garden.test.jsonl",
                       again=True, training=replace(quick, epochs=3))  # fmt: skip
    _add_version(portfolio, "garden@2", _strong)
    portfolio.close()
    return folder


@pytest.fixture
def portfolio(tmp_path: Path, _judged: Path, tiny_base: Base) -> Iterator[Portfolio]:
    """For a test that may change it."""
    shutil.copytree(_judged / "portfolio", tmp_path / "portfolio")
    opened = Portfolio.open(tmp_path / "portfolio", base=tiny_base)
    yield opened
    opened.close()


@pytest.fixture
def rows_of(_judged: Path) -> Callable[[str], list[dict[str, str]]]:
    """`rows_of("garden.test")`: the rows of one of the files that the portfolio was made of."""

    def read(name: str) -> list[dict[str, str]]:
        lines = (_judged / "files" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return read


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A JSONL file of these rows in the test's own directory."""

    def write(name: str, rows: Sequence[Mapping[str, object]]) -> Path:
        return write_rows(tmp_path / name, rows)

    return write


@pytest.fixture
def evidence_of() -> Callable[[Portfolio, str], ModelEvidence]:
    """What can be asked about `name@version`."""

    def made(portfolio: Portfolio, text: str) -> ModelEvidence:
        name, _, version = text.partition("@")
        return ModelEvidence(portfolio.engine(), Ref(name, int(version)), read_test_again, rounds=1)

    return made


@pytest.fixture
def tampered() -> Callable[..., str]:
    """`tampered(PORTFOLIO, CHANGE)`: a new version of the garden, the champion's weights changed; its `name@version`."""

    def put(portfolio: Portfolio, change: Change) -> str:
        return _add_version(portfolio, "garden@1", change)

    return put


def _add_version(portfolio: Portfolio, ref: str, change: Change) -> str:
    """One that differs from another by its weights alone."""
    store, snapshot = portfolio.store, portfolio.snapshot()
    record = find_adapter(snapshot, ref)
    data = to_bytes(change(load_plain(store, record.digest)))
    version = max(one.version for one in snapshot.adapters if one.name == record.name) + 1
    store.releases.commit_versions(
        expected_generation=snapshot.generation,
        adapters=[replace(record, version=version, digest=store.put(data), created_at="")],
        lineages=[replace(store.releases.lineage(record.ref), version=version)],
        detail={},
    )
    return f"{record.name}@{version}"


def _strong(weights: AdapterWeights) -> AdapterWeights:
    draw = torch.Generator().manual_seed(0)
    sites = {
        key: {name: tensor + 0.3 * torch.randn(tensor.shape, generator=draw) for name, tensor in site.items()}
        for key, site in weights.sites.items()
    }
    return replace(weights, sites=sites)
