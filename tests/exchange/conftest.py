"""A small portfolio that was trained, bundles of it, and ways to change a bundle so that its manifest still agrees."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from portfolio.exchange.export import export_adapter, export_portfolio
from portfolio.exchange.writing import write_bundle
from portfolio.hosting.base import Base
from portfolio.portfolio import Portfolio
from portfolio.records import AdapterRecord
from portfolio.store.store import Store
from portfolio.training import TrainingConfig

QUICK = TrainingConfig(epochs=1, batch_size=16)

Reseal = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_trusted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTFOLIO_TRUSTED_KEY", raising=False)


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base, toy_files: Callable[..., Any]) -> Path:
    """The directory of a portfolio: garden (bottleneck), kitchen (LoRA), mixed@2 (a fusion of both and mixed@1)."""
    folder = tmp_path_factory.mktemp("origin")
    portfolio = Portfolio.init(folder / "origin", tiny_base)
    for name, method in (("garden", "bottleneck"), ("kitchen", "lora")):
        files = toy_files(folder / "files", name)
        portfolio.add_task(name, files.train, test=files.test, method=method, training=QUICK)
    files = toy_files(folder / "files", "mixed", theme="harbour")
    adapters = ("garden", "kitchen")
    portfolio.fuse(
        "mixed", files.train, test=files.test, adapters=adapters, with_own=True, keep="fusion", training=QUICK
    )
    portfolio.close()
    return folder / "origin"


@pytest.fixture(scope="session")
def bundles(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles as folders, by task, and `all`. Do not change them."""
    folder = tmp_path_factory.mktemp("bundles")
    store = Store.open(origin)
    for name in ("garden", "kitchen", "mixed"):
        export_adapter(store, name, folder / name, key=None, license=None)
    export_portfolio(store, folder / "all", key=None, license=None)
    return folder


@pytest.fixture
def source(tmp_path: Path, origin: Path, tiny_base: Base) -> Iterator[Portfolio]:
    """A copy of the portfolio that the bundles come from."""
    shutil.copytree(origin, tmp_path / "source")
    portfolio = Portfolio.open(tmp_path / "source", base=tiny_base)
    yield portfolio
    portfolio.close()


@pytest.fixture
def empty(tmp_path: Path, tiny_base: Base) -> Iterator[Portfolio]:
    """A portfolio without tasks on the same base."""
    portfolio = Portfolio.init(tmp_path / "empty", tiny_base)
    yield portfolio
    portfolio.close()


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> Iterator[Portfolio]:
    """One without tasks for all tests that change nothing."""
    portfolio = Portfolio.init(tmp_path_factory.mktemp("untouched") / "portfolio", tiny_base)
    yield portfolio
    portfolio.close()


@pytest.fixture
def reseal(bundles: Path, tmp_path: Path) -> Reseal:
    """`reseal("garden", {"record.json": bytes, "README.md": None})`: a bundle with other files, and a manifest that agrees.

    A function instead of bytes is given the old bytes.
    """

    def made(name: str, changes: dict[str, Any]) -> Path:
        files = {path: data for path, data in _tree(bundles / name).items() if path != "manifest.json"}
        for path, change in changes.items():
            files[path] = change(files[path]) if callable(change) else change
        to = tmp_path / "resealed"
        write_bundle(
            to, "portfolio" if name == "all" else "adapter", {p: d for p, d in files.items() if d is not None}, None
        )
        return to

    return made


@pytest.fixture
def with_record(reseal: Reseal) -> Callable[..., Path]:
    """`with_record(CHANGE)`: the bundle `garden` with `record.json` as CHANGE leaves its fields."""

    def made(change: Callable[[dict[str, Any]], object]) -> Path:
        def changed(data: bytes) -> bytes:
            fields = json.loads(data)
            change(fields)
            return json.dumps(fields).encode()

        return reseal("garden", {"record.json": changed})

    return made


@pytest.fixture
def with_tensors(bundles: Path, reseal: Reseal) -> Callable[..., Path]:
    """`with_tensors(FILE, CHANGE)`: a bundle whose file has the arrays as CHANGE leaves them, and a record that says so."""

    def made(path: str, change: Callable[[dict[str, Any]], object], name: str = "garden") -> Path:
        before = (bundles / name / path).read_bytes()
        length = int.from_bytes(before[:8], "little")
        arrays = load(before)
        change(arrays)
        data = save(arrays, metadata=json.loads(before[8 : 8 + length]).get("__metadata__"))
        record = (bundles / name / "record.json").read_text()
        record = record.replace(hashlib.sha256(before).hexdigest(), hashlib.sha256(data).hexdigest())
        fields = json.loads(record)
        if path == "adapter.safetensors":
            fields["adapters"][-1]["bytes"] = len(data)
            fields["adapters"][-1]["parameters"] = int(sum(np.size(array) for array in arrays.values()))
        return reseal(name, {path: data, "record.json": json.dumps(fields).encode()})

    return made


@pytest.fixture
def tree() -> Tree:
    """Every file under a directory, by path, with its bytes."""
    return _tree


@pytest.fixture
def add_quickly(toy_files: Callable[..., Any], tmp_path: Path) -> Callable[[Portfolio, str], AdapterRecord]:
    """Train a task of that theme."""

    def add(portfolio: Portfolio, name: str, **settings: Any) -> AdapterRecord:
        files = toy_files(tmp_path / "files", name)
        return portfolio.add_task(name, files.train, test=files.test, training=QUICK, **settings)

    return add


def _tree(directory: Path) -> dict[str, bytes]:
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}
