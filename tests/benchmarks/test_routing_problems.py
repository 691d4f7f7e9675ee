"""Portfolios made of files: which rows train, calibrate and are judged, and what is kept of their features."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.routing_data import Features, Rows, joined
from benchmarks.routing_problems import Budget, domains, drawn_intents
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host

DOMAINS = {"weather": ["rain", "snow"], "food": ["soup", "bread"]}
SPLITS = ("train", "validation", "test")


def write(path: Path, lines: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four intents of 6 rows in each split, in the order of the files; two out-of-scope rows a split."""
    folder = tmp_path / "data" / "clinc150"
    for split in SPLITS:
        intents = [(domain, intent) for domain, intents in DOMAINS.items() for intent in intents]
        rows = [(domain, intent, number) for domain, intent in intents for number in range(6)]
        write(
            folder / f"{split}.jsonl",
            [{"text": f"{intent} {split} {n}", "label": intent, "domain": domain} for domain, intent, n in rows],
        )
    write(folder / "oos.jsonl", [{"text": f"moon {s} {n}", "label": "oos", "split": s} for s in SPLITS for n in (0, 1)])
    (folder / "domains.json").write_text(json.dumps(DOMAINS), encoding="utf-8")
    return tmp_path / "data"


@pytest.fixture
def features(tiny_base: Base, tmp_path: Path) -> Iterator[Features]:
    host = Host(tiny_base, trunk=2)
    yield Features(host, tmp_path / "cache", max_tokens=32)
    host.detach()


def test_half_of_the_validation_rows_calibrate_and_the_others_are_judged(features: Features, data: Path) -> None:
    problem = domains(features, data, "validation", Budget(train=None, judged=None))
    assert problem.tasks == ("weather", "food")
    assert [len(part) for part in (problem.train, problem.calibration, problem.judged)] == [24, 12, 12]
    assert set(problem.calibration.texts) | set(problem.judged.texts) == {
        f"{intent} validation {n}" for intents in DOMAINS.values() for intent in intents for n in range(6)
    }
    for part in (problem.calibration, problem.judged):
        assert np.bincount(part.classes).tolist() == [3, 3, 3, 3]
    true = [problem.tasks[task] for task in problem.task_of(problem.judged)]
    assert all(text.split()[0] in DOMAINS[domain] for text, domain in zip(problem.judged.texts, true, strict=True))


def test_judging_the_test_split_calibrates_on_all_that_came_before(features: Features, data: Path) -> None:
    problem = domains(features, data, "test", Budget(train=None, judged=None))
    assert {text.split()[1] for text in problem.judged.texts} == {"test"} and len(problem.judged) == 24
    assert {text.split()[1] for text in problem.calibration.texts} == {"validation"} and len(problem.calibration) == 24
    before = features.of("any", ["moon train 0", "moon train 1", "moon validation 0", "moon validation 1"])
    np.testing.assert_allclose(problem.outside_calibration, before, atol=1e-5)
    judged = features.of("any", ["moon test 0", "moon test 1"])
    np.testing.assert_allclose(problem.outside_judged, judged, atol=1e-5)


def test_a_budget_takes_its_share_from_every_class(features: Features, data: Path) -> None:
    problem = domains(features, data, "validation", Budget(train=12, judged=4))
    assert np.bincount(problem.train.classes).tolist() == [3, 3, 3, 3]
    assert len(problem.judged) == len(problem.calibration) == 4
    assert str(Budget(train=5000, judged=500)) == (
        "at most 5,000 training rows; at most 500 judged rows, and as many to calibrate a set"
    )


def test_drawn_tasks_share_the_intents_out_and_a_seed_draws_the_same_again(features: Features, data: Path) -> None:
    draws = [
        drawn_intents(features, data, "validation", Budget(train=None, judged=None), seed, tasks=2)
        for seed in (0, 0, 1, 2, 3)
    ]
    assert all(np.bincount(draw.task_of_class).tolist() == [2, 2] for draw in draws)
    assert np.array_equal(draws[0].task_of_class, draws[1].task_of_class)
    assert any(not np.array_equal(draws[0].task_of_class, draw.task_of_class) for draw in draws)
    assert len(draws[0].outside_judged) == 0


def test_features_are_computed_once_for_the_same_texts_and_anew_for_others(features: Features, tmp_path: Path) -> None:
    once = features.of("some", ["rain", "soup"])
    [kept] = (tmp_path / "cache").iterdir()
    stamp = kept.stat().st_mtime_ns
    assert np.array_equal(features.of("some", ["rain", "soup"]), once)
    assert [file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()] == [stamp]
    other = features.of("some", ["rain", "bread"])
    assert np.allclose(other[0], once[0], atol=1e-5) and not np.allclose(other[1], once[1], atol=1e-2)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_sets_side_by_side_keep_their_classes_apart() -> None:
    one = Rows(texts=("a", "b"), classes=np.array([0, 1]), features=np.zeros((2, 3), np.float32))
    two = Rows(texts=("c",), classes=np.array([1]), features=np.ones((1, 3), np.float32))
    both = joined([one, two], [0, 2])
    assert both.texts == ("a", "b", "c") and both.classes.tolist() == [0, 1, 3] and both.features[2].tolist() == [1] * 3
