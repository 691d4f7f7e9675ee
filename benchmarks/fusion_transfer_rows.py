"""Rows and members of the transfer benchmark: drawn with a seed, prepared once by the frozen base."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from portfolio import BottleneckConfig, TrainingConfig
from portfolio.choices import Found
from portfolio.drafts import Rows
from portfolio.hosting.encode import encode
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import prepare
from portfolio.hosting.weights import AdapterWeights, from_bytes, to_bytes
from portfolio.records import UNKNOWN_LABEL, Member
from portfolio.running import Labelled
from portfolio.training import train_adapter

LONGEST = 48  # tokens of a text
MEMBER_ROWS = 4000
MOST_JUDGING = 256  # validation rows of a target
TEST_ROWS = 500
KEPT_BYTES = 1 << 30

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """A target with so many training rows."""

    rows: Rows
    test: Labelled


def problem(host: Host, target: str, count: int, seed: int) -> Problem:
    """`count` training rows drawn with this seed, as many validation rows (at most 256), and test rows that never change."""
    drawn = _drawn(target, "train", seed)
    judging = min(count, MOST_JUDGING)
    train, validation = drawn[judging : judging + count], drawn[:judging]
    labels = tuple(sorted({row["label"] for row in train}))
    test = _drawn(target, "test", 0)[:TEST_ROWS]
    rows = Rows(
        task=target,
        labels=labels,
        train=_labelled(host, train, labels),
        validation=_labelled(host, validation, labels),
    )
    return Problem(rows=rows, test=_labelled(host, test, labels))


def members(host: Host, names: tuple[str, ...], folder: Path) -> dict[str, Found]:
    """The members of these names, trained where the folder lacks one."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        file = folder / name
        if not file.exists():
            began = time.perf_counter()
            file.write_bytes(to_bytes(_trained(host, name)))
            print(f"trained member {name} in {time.perf_counter() - began:.0f} s", flush=True)
        data = file.read_bytes()
        adapter = from_bytes(data)
        assert isinstance(adapter, AdapterWeights)
        found[name] = Found(Member(name=name, version=1, digest=hashlib.sha256(data).hexdigest()), adapter)
    return found


def centres(host: Host, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """For each set the mean of the bare base's features over 500 training rows, less the mean over all sets."""
    found = {name: _labelled(host, _drawn(name, "train", 0)[:500], ()).prepared.features.mean(0) for name in names}
    middle = torch.stack(list(found.values())).mean(0)
    return {"": middle, **{name: centre - middle for name, centre in found.items()}}


def _trained(host: Host, name: str) -> AdapterWeights:
    """At most MEMBER_ROWS rows and a tenth more to judge by; 3 epochs."""
    drawn = _drawn(name, "train", 0)[: MEMBER_ROWS * 11 // 10]
    labels = tuple(sorted({row["label"] for row in drawn}))
    count = len(drawn) * 10 // 11
    train, validation = (_labelled(host, some, labels) for some in (drawn[:count], drawn[count:]))
    training = TrainingConfig(epochs=3)
    return train_adapter(host, BottleneckConfig(), train, validation, len(labels), training).learner.adapter


def _drawn(name: str, split: str, seed: int) -> list[Row]:
    file = Path(os.environ["PORTFOLIO_DATA"]) / name / f"{split}.jsonl"
    with file.open(encoding="utf-8") as lines:  # some texts hold characters that str.splitlines takes for line breaks
        rows = [json.loads(line) for line in lines]
    return [rows[number] for number in np.random.default_rng(seed).permutation(len(rows))]


def _labelled(host: Host, rows: list[Row], labels: tuple[str, ...]) -> Labelled:
    pairs = [row["text_pair"] for row in rows] if rows and "text_pair" in rows[0] else None
    encoded = encode(host.base.tokenizer, [row["text"] for row in rows], pairs, LONGEST)
    numbers = [labels.index(row["label"]) if row["label"] in labels else UNKNOWN_LABEL for row in rows]
    return Labelled(prepared=prepare(host, encoded, keep_bytes=KEPT_BYTES), labels=torch.tensor(numbers))
