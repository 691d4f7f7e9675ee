"""One adapter goes from one portfolio to another: it answers there as it did, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portfolio.errors import BaseMismatch, ConfigError, Conflict, InvalidName, NotFound, Untrusted
from portfolio.exchange.tensors import read_tensors
from portfolio.hosting.base import Base
from portfolio.portfolio import Portfolio
from portfolio.records import attention_from_json
from portfolio.training import TrainingConfig

TEXTS = ["rose tulip fern moss", "spade rake the hoe", "ivy shears", "daisy my daisy"]

Tree = Callable[[Path], dict[str, bytes]]


def said(portfolio: Portfolio, task: str) -> list[tuple[str | None, float | None]]:
    return [(one.label, one.probability) for one in portfolio.predict(TEXTS, task)]


@pytest.mark.parametrize("name", ["bundle", "bundle.tar.gz", "bundle.zip"])
def test_an_imported_adapter_answers_bit_for_bit_as_where_it_comes_from(
    source: Portfolio, empty: Portfolio, tmp_path: Path, name: str
) -> None:
    source.export("garden", tmp_path / name)
    taken = empty.import_adapter(tmp_path / name)
    [task] = empty.tasks()
    assert (str(taken.ref), task.labels, task.tags) == ("garden@1", ("plant", "tool"), ())
    assert said(empty, "garden") == said(source, "garden")
    [original] = [one for one in source.snapshot().adapters if one.name == "garden"]
    assert taken.digest == original.digest
    assert empty.verify() == ()


def test_it_routes_and_is_measured_without_its_texts(source: Portfolio, empty: Portfolio, bundles: Path) -> None:
    empty.import_adapter(bundles / "garden")
    empty.import_adapter(bundles / "kitchen")
    before, after = source.snapshot().router, empty.snapshot().router
    assert before is not None and after is not None
    step = [cell for cell in empty.snapshot().cells if cell.step == "kitchen"]
    assert {cell.task: cell.oracle for cell in step} == {
        cell.task: cell.oracle for cell in source.snapshot().cells if cell.step == "kitchen"
    }
    assert empty.route(["rose fern ivy"])[0].tasks == source.route(["rose fern ivy"])[0].tasks
    measured = tuple(empty.snapshot().cells)
    empty.evaluate()  # by what is kept of the rows
    assert tuple(empty.snapshot().cells) == measured


def test_nothing_of_the_machine_it_was_trained_on_and_no_text_is_in_the_bundle(bundles: Path, tree: Tree) -> None:
    whole = b"".join(tree(bundles / "garden").values())
    assert str(bundles.parent).encode() not in whole
    assert b"/files/" not in whole
    assert b"tulip" not in whole
    lineage = json.loads((bundles / "garden" / "record.json").read_text())["lineage"]
    assert {source["path"] for source in lineage["sources"]} == {"garden.train.jsonl", "garden.test.jsonl"}


def test_a_task_of_that_name_gets_a_version_that_does_not_answer(
    source: Portfolio, empty: Portfolio, bundles: Path, tmp_path: Path, add_quickly: Callable[..., Any]
) -> None:
    add_quickly(empty, "garden", method="lora")
    before = said(empty, "garden")
    taken = empty.import_adapter(bundles / "garden")
    assert str(taken.ref) == "garden@2"
    assert said(empty, "garden") == before
    assert [(alias.alias, alias.version) for alias in empty.snapshot().aliases] == [("champion", 1)]
    lineage = empty.store.releases.lineage(taken.ref)
    assert (lineage.parent, lineage.labels) == ("garden@1", ("plant", "tool"))
    assert any("was garden@1" in note for note in taken.notes)
    with pytest.raises(Conflict, match="here already, by the same digest: it is garden@2"):
        empty.import_adapter(bundles / "garden")
    assert empty.verify() == ()


def test_it_may_come_under_another_name(empty: Portfolio, bundles: Path) -> None:
    assert str(empty.import_adapter(bundles / "garden", "plants").ref) == "plants@1"
    assert [task.name for task in empty.tasks()] == ["plants"]
    with pytest.raises(InvalidName):
        empty.import_adapter(bundles / "garden", "../plants")


def test_a_dry_run_says_what_would_come_and_writes_nothing(empty: Portfolio, bundles: Path, tree: Tree) -> None:
    before = tree(empty.path)
    assert str(empty.import_adapter(bundles / "garden", "plants", dry_run=True).ref) == "plants@1"
    assert tree(empty.path) == before


def test_a_fusion_comes_with_its_own_version_and_finds_its_members_by_digest(
    source: Portfolio, empty: Portfolio, bundles: Path
) -> None:
    with pytest.raises(NotFound, match="made of garden@1, kitchen@1, not here by the same digest"):
        empty.import_adapter(bundles / "mixed")
    empty.import_adapter(bundles / "garden", "plants")
    empty.import_adapter(bundles / "kitchen")
    taken = empty.import_adapter(bundles / "mixed", "blend")
    assert str(taken.ref) == "blend@2"
    assert [str(member.ref) for member in taken.members] == ["plants@1", "kitchen@1", "blend@1"]
    assert said(empty, "blend") == said(source, "mixed")
    assert taken.attention is not None
    attention = attention_from_json(empty.store.get(taken.attention).decode())
    assert attention.members == ("plants@1", "kitchen@1", "blend@1")
    assert empty.verify() == ()


def test_a_fusion_is_imported_as_later_versions_too(source: Portfolio, bundles: Path, tmp_path: Path) -> None:
    source.export("mixed@2", tmp_path / "again")
    taken = source.import_adapter(tmp_path / "again", "garden")
    assert [str(member.ref) for member in taken.members] == ["garden@1", "kitchen@1", "garden@2"]
    assert str(taken.ref) == "garden@3"
    assert source.verify() == ()


def test_a_fusion_with_a_version_of_its_task_that_was_learned_from_other_data_is_not_exported(
    source: Portfolio, toy_files: Callable[..., Any], tmp_path: Path
) -> None:
    files = toy_files(tmp_path / "more", "garden", train_rows=30)
    once = TrainingConfig(epochs=1, batch_size=16)
    fused = source.fuse(
        "garden",
        files.train,
        test=files.test,
        adapters=("garden@1", "kitchen"),
        again=True,
        keep="fusion",
        training=once,
    )
    with pytest.raises(ConfigError, match="was learned from other data"):
        source.export(str(fused.ref), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_another_base_or_another_reading_of_it_is_refused_field_by_field(
    tmp_path: Path, tiny_base: Base, bundles: Path, tree: Tree
) -> None:
    other = Portfolio.init(tmp_path / "other", tiny_base, trunk=1, pooling="last", max_tokens=32)
    before = tree(other.path)
    with pytest.raises(BaseMismatch) as refused:
        other.import_adapter(bundles / "garden")
    assert all(
        field in str(refused.value) for field in ("trunk: 1 here, 2 there", "pooling: last here", "max_tokens: 32")
    )
    assert "fingerprint" not in str(refused.value)
    assert tree(other.path) == before
    other.close()


def test_where_there_are_gates_it_answers_nobody_before_it_passes(empty: Portfolio, bundles: Path) -> None:
    rule = '[[rule]]\nname = "good"\ncheck = "bound"\nmetric = "accuracy"\nat_least = 0.5\n'
    (empty.path / "gates.toml").write_text(rule)
    try:
        empty.import_adapter(bundles / "garden")
    except ConfigError as error:  # the rule is written otherwise
        pytest.fail(str(error))
    [task] = empty.tasks()
    assert task.disabled == "none"


def test_a_whole_portfolio_is_no_adapter_and_the_other_way_round(
    empty: Portfolio, bundles: Path, tmp_path: Path
) -> None:
    with pytest.raises(Untrusted, match="a bundle of one portfolio, expected one of one adapter"):
        empty.import_adapter(bundles / "all")
    with pytest.raises(Untrusted, match="a bundle of one adapter, expected one of one portfolio"):
        Portfolio.import_portfolio(bundles / "garden", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_an_export_is_refused_before_anything_is_read(source: Portfolio, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no task 'nobody'"):
        source.export("nobody", tmp_path / "to")
    with pytest.raises(NotFound, match="garden@7"):
        source.export("garden@7", tmp_path / "to")
    with pytest.raises(ConfigError, match="expected a license"):
        source.export("garden", tmp_path / "to", license="mine: all of it\n")
    assert not (tmp_path / "to").exists()


def test_the_verdict_goes_along_and_lets_nothing_pass(
    source: Portfolio, empty: Portfolio, tmp_path: Path, add_quickly: Callable[..., Any]
) -> None:
    verdict = source.releases.gate("garden@1")
    source.export("garden", tmp_path / "to")
    assert json.loads((tmp_path / "to" / "verdict.json").read_text())["outcome"] == verdict.outcome
    add_quickly(empty, "garden", method="lora")
    empty.import_adapter(tmp_path / "to")
    assert empty.store.releases.verdicts() == ()


def test_statistics_and_weights_are_copied_as_they_are(bundles: Path, source: Portfolio) -> None:
    for name in ("adapter", "centroids", "scatter", "evaluation"):
        assert read_tensors((bundles / "garden" / f"{name}.safetensors").read_bytes(), name).arrays
    shutil.rmtree(source.path / "blobs")
    with pytest.raises(Exception, match="missing"):
        source.export("garden", source.path.parent / "to")
    assert not (source.path.parent / "to").exists()
