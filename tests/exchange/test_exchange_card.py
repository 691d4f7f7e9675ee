"""Cards: their metadata is YAML that the Hugging Face hub reads, their figures those of the portfolio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from portfolio.errors import ConfigError
from portfolio.exchange.card import Figures, adapter_card, hub_name, license_of, portfolio_card
from portfolio.portfolio import Portfolio
from portfolio.refs import Ref


def metadata(card: str) -> dict[str, Any]:
    start, front, _ = card.split("---\n", 2)
    assert start == ""
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def made(source: Portfolio) -> Any:
    """The card of garden@1 with other fields of its records."""

    def card(license: str | None = "mit", base: str = "minilm", path: str = "/x/y.jsonl", **changes: Any) -> str:
        snapshot = source.snapshot()
        [adapter] = [one for one in snapshot.adapters if one.name == "garden"]
        lineage = replace(source.store.releases.lineage(Ref("garden", 1)), **changes)
        sources = tuple(replace(one, path=path) for one in lineage.sources)
        contract = replace(snapshot.contract, name=base)
        return adapter_card(
            adapter, replace(lineage, sources=sources), contract, license, Figures(rows=8, accuracy=0.75)
        )

    return card


def test_the_metadata_say_base_license_data_and_figures(made: Any) -> None:
    said = metadata(made(path="hub:banking77:all"))
    assert said["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert said["license"] == "mit"
    assert said["datasets"] == ["banking77"]
    assert said["metrics"] == ["accuracy"]
    assert said["tags"] == ["adapter-portfolio", "bottleneck"]
    [model] = said["model-index"]
    assert model["name"] == "garden@1"
    [result] = model["results"]
    assert result["dataset"] == {"name": "garden", "type": "banking77"}
    assert result["metrics"][1] == {"type": "accuracy", "name": "test accuracy", "value": 0.75}


def test_what_is_not_known_is_left_out(made: Any) -> None:
    said = metadata(made(license=None, base="/home/me/base"))
    assert not {"base_model", "license", "datasets"} & set(said)
    assert "/home/me" not in made(base="/home/me/base")


def test_labels_that_look_like_markup_do_no_harm(made: Any) -> None:
    card = made(labels=("---\nlicense: evil", "`</td>`"))
    assert metadata(card)["license"] == "mit"
    assert card.count("\n---\n") == 1


def test_a_card_in_a_bundle_has_the_figures_of_its_test_rows(bundles: Path, source: Portfolio) -> None:
    card = (bundles / "garden" / "README.md").read_text(encoding="utf-8")
    [cell] = [cell for cell in source.snapshot().cells if (cell.step, cell.task) == ("garden", "garden")]
    [result] = metadata(card)["model-index"][0]["results"]
    assert result["metrics"][1]["value"] == pytest.approx(cell.oracle, abs=1e-4)
    assert f"of {cell.rows:,} test rows" in card


def test_a_portfolios_card_lists_its_tasks(source: Portfolio) -> None:
    card = portfolio_card(source.snapshot(), "mit")
    assert metadata(card)["tags"] == ["adapter-portfolio", "bottleneck", "fusion", "lora"]
    assert [line.split("|")[2].strip() for line in card.splitlines() if "@" in line] == [
        "garden@1",
        "kitchen@1",
        "mixed@2",
    ]


def test_a_base_is_named_only_by_its_name_on_the_hub() -> None:
    assert hub_name("minilm") == "sentence-transformers/all-MiniLM-L6-v2"
    assert hub_name("bert-base-uncased") == "bert-base-uncased"
    assert hub_name("org/model") == "org/model"
    assert [hub_name(name) for name in ("/home/me/base", "./base", "a/b/c", "org/model\nlicense: x", "")] == [None] * 5


def test_a_license_is_that_of_the_hub_or_refused() -> None:
    assert license_of("minilm", None) == "apache-2.0"
    assert license_of("org/model", None) is None
    assert license_of("minilm", "cc-by-4.0") == "cc-by-4.0"
    for wrong in ("MIT", "mine: all", "a\nb", "", "x" * 65):
        with pytest.raises(ConfigError, match="such as apache-2.0"):
            license_of("minilm", wrong)
