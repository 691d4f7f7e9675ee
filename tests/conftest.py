"""A tiny base and toy tasks, for every test that needs a transformer: made from a seed, nothing is fetched."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

    from portfolio.hosting.base import Base

TEST_DEVICE = os.environ.get("PORTFOLIO_TEST_DEVICE", "cpu")  # where bases run: docs/decisions/0013-numbers.md
PRETENDED = "elsewhere"  # a device that this machine need not have: elsewhere.py

# Each theme is a task, each of its keys a label, each word says one label and no other.
THEMES = {
    "garden": {
        "plant": ("rose", "tulip", "fern", "moss", "daisy", "ivy"),
        "tool": ("spade", "rake", "hoe", "shears", "trowel", "barrow"),
    },
    "kitchen": {
        "dish": ("soup", "stew", "pie", "salad", "curry", "roast"),
        "ware": ("pan", "ladle", "whisk", "kettle", "grater", "bowl"),
    },
    "harbour": {
        "ship": ("ferry", "tug", "barge", "yacht", "trawler", "dinghy"),
        "weather": ("storm", "fog", "calm", "gale", "drizzle", "sun"),
    },
}
FILLERS = ("the", "a", "my", "this", "that", "please", "now", "here", "again", "old", "new", "small")
OUTSIDE = ("violin", "opera", "drum", "flute", "choir", "banjo")  # known to the tokenizer, to no theme


def _pretending() -> ModuleType:
    """The module beside this file."""
    spec = importlib.util.spec_from_file_location("elsewhere", Path(__file__).with_name("elsewhere.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def elsewhere() -> Iterator[torch.device]:
    """A device that is not the CPU, as long as the test lasts."""
    with _pretending().elsewhere() as device:
        yield device


@pytest.fixture(scope="session")
def test_device() -> Iterator[torch.device]:
    """Where the bases of all tests run."""
    import torch

    if TEST_DEVICE != PRETENDED:
        yield torch.device(TEST_DEVICE)
        return
    with _pretending().elsewhere() as device:
        yield device


@pytest.fixture(scope="session", autouse=TEST_DEVICE != "cpu")
def _bases_on_the_test_device(test_device: torch.device) -> Iterator[None]:
    """Every base that is loaded runs there."""
    from portfolio import engine
    from portfolio.hosting import base

    load = base.load_base

    def load_there(*args: Any) -> Base:
        return base.twin_of(load(*args), device=test_device)

    with contextlib.ExitStack() as stack:
        for module in (base, engine):
            patch = pytest.MonkeyPatch()
            patch.setattr(module, "load_base", load_there)
            stack.callback(patch.undo)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyFiles:
    """The two files of a toy task."""

    train: Path
    test: Path


@pytest.fixture(scope="session")
def tiny_base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a random BERT, 4 blocks of width 32, and a WordPiece tokenizer. Do not change it."""
    import torch
    from transformers import BertConfig, BertModel

    directory = tmp_path_factory.mktemp("tiny-base")
    size = _write_tokenizer(directory)
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # so wide that texts of different words have clearly different states
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config, add_pooling_layer=False)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_base(tiny_base_dir: Path) -> Base:
    """The base in `tiny_base_dir`, loaded once for all tests: a host put on it must be detached again."""
    from portfolio.hosting import base

    return base.load_base(str(tiny_base_dir))


@pytest.fixture(scope="session")
def toy_files() -> Callable[..., ToyFiles]:
    """`toy_files(DIRECTORY, NAME)` writes `NAME.train.jsonl` and `NAME.test.jsonl`, whose words tell the labels apart.

    The task is that of `theme`, one of THEMES, by default the one called NAME; rows have its labels in turn.
    """

    def write(
        directory: Path, name: str = "garden", *, theme: str | None = None, train_rows: int = 40, test_rows: int = 10
    ) -> ToyFiles:
        directory.mkdir(parents=True, exist_ok=True)
        examples = toy_examples(theme or name, train_rows + test_rows)
        files = ToyFiles(train=directory / f"{name}.train.jsonl", test=directory / f"{name}.test.jsonl")
        write_jsonl(files.train, examples[:train_rows])
        write_jsonl(files.test, examples[train_rows:])
        return files

    return write


@pytest.fixture
def toy_task(tmp_path: Path, toy_files: Callable[..., ToyFiles]) -> Callable[..., ToyFiles]:
    """`toy_task(NAME)` is `toy_files(NAME)` in this test's own directory."""
    return functools.partial(toy_files, tmp_path)


def toy_examples(theme: str, rows: int) -> list[dict[str, str]]:
    """Texts that all differ, such as `rose the fern moss ivy`, with their labels in turn."""
    random_words = random.Random(theme)
    labels = sorted(THEMES[theme])
    examples: dict[str, str] = {}
    while len(examples) < rows:
        label = labels[len(examples) % len(labels)]
        words = [*random_words.sample(THEMES[theme][label], 4), random_words.choice(FILLERS)]
        random_words.shuffle(words)
        examples[" ".join(words)] = label
    return [{"text": text, "label": label} for text, label in examples.items()]


def write_jsonl(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _write_tokenizer(directory: Path) -> int:
    """A WordPiece tokenizer that knows the words of the themes, and any other word letter by letter; its size."""
    from transformers import BertTokenizer

    words = [word for theme in THEMES.values() for label in theme.values() for word in label]
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = list(dict.fromkeys([*tokens, *FILLERS, *OUTSIDE, *words]))
    path = directory / "vocab.txt"
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(path), do_lower_case=True, model_max_length=64)
    tokenizer.save_pretrained(directory)
    return len(tokenizer)
