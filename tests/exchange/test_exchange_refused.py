"""Bundles whose manifest agrees and whose contents do not: each a clear refusal, and the portfolio as it was."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from portfolio.errors import BaseMismatch, PortfolioError, Untrusted
from portfolio.exchange.manifest import MANIFEST
from portfolio.exchange.opening import opened
from portfolio.exchange.writing import write_bundle
from portfolio.portfolio import Portfolio

Tree = Callable[[Path], dict[str, bytes]]
Made = Callable[..., Path]
Fields = dict[str, Any]
FILES = (
    "README.md",
    "record.json",
    *(f"{name}.safetensors" for name in ("adapter", "centroids", "scatter", "evaluation")),
)
FLIPS = 12  # bytes of each file that are flipped, one after another


@pytest.fixture
def refused(untouched: Portfolio, tree: Tree) -> Callable[..., str]:
    """The words of a refusal, after which the portfolio is as it was."""

    def of(source: Path, error: type[PortfolioError] = Untrusted) -> str:
        before = tree(untouched.path)
        with pytest.raises(error) as raised:
            untouched.import_adapter(source)
        assert tree(untouched.path) == before
        return str(raised.value)

    return of


def test_an_untouched_bundle_sealed_again_is_taken(reseal: Made, empty: Portfolio) -> None:
    assert str(empty.import_adapter(reseal("garden", {})).ref) == "garden@1"


@pytest.mark.parametrize("path", [*FILES, MANIFEST])
def test_a_flipped_bit_in_any_file_is_refused(
    bundles: Path, tmp_path: Path, tree: Tree, refused: Callable[..., str], path: str
) -> None:
    files = tree(bundles / "garden")
    assert set(files) == {*FILES, MANIFEST}
    draw = random.Random(path)
    places = {0, len(files[path]) - 1, *(draw.randrange(len(files[path])) for _ in range(FLIPS))}
    for name, data in files.items():
        (tmp_path / "flipped" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "flipped" / name).write_bytes(data)
    for place in places:
        changed = bytearray(files[path])
        changed[place] ^= 1 << draw.randrange(8)
        (tmp_path / "flipped" / path).write_bytes(changed)
        refused(tmp_path / "flipped")


@pytest.mark.parametrize("name", ["bundle.tar.gz", "bundle.zip"])
def test_a_flipped_byte_in_an_archive_never_gives_another_bundle(
    bundles: Path, tmp_path: Path, tree: Tree, name: str
) -> None:
    """Some bytes of an archive mean nothing, such as those of a time; what comes is what was written, or a refusal."""
    files = {path: data for path, data in tree(bundles / "garden").items() if path != MANIFEST}
    write_bundle(tmp_path / name, "adapter", files, None)
    data, draw, refusals = (tmp_path / name).read_bytes(), random.Random(name), 0
    for _ in range(60):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (tmp_path / f"flipped.{name}").write_bytes(changed)
        try:
            assert opened(tmp_path / f"flipped.{name}", "adapter", None).data == files
        except Untrusted:
            refusals += 1
    assert refusals > 40


@pytest.mark.parametrize("path", [*FILES, MANIFEST])
def test_a_missing_file_is_refused(
    bundles: Path, tmp_path: Path, tree: Tree, refused: Callable[..., str], path: str
) -> None:
    for name, data in tree(bundles / "garden").items():
        if name != path:
            (tmp_path / "less").mkdir(exist_ok=True)
            (tmp_path / "less" / name).write_bytes(data)
    assert path in refused(tmp_path / "less")


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_the_manifest_leaves_out_too_is_missed(
    reseal: Made, refused: Callable[..., str], path: str
) -> None:
    assert path in refused(reseal("garden", {path: None}))


@pytest.mark.parametrize(
    "path", ["evil.py", "adapter.pkl", "pytorch_model.bin", "members/1.safetensors", "attention.json"]
)
def test_a_file_too_many_is_refused_listed_or_not(
    bundles: Path, reseal: Made, tree: Tree, tmp_path: Path, refused: Callable[..., str], path: str
) -> None:
    assert path in refused(reseal("garden", {path: b"\x80\x04."}))
    for name, data in {**tree(bundles / "garden"), path: b"x"}.items():
        (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / name).write_bytes(data)
    assert f"not in the manifest: {path}" in refused(tmp_path / "more")


# The record


def last(change: Fields) -> Callable[[Fields], object]:
    return lambda fields: fields["adapters"][-1].update(change)


def lineage(change: Fields) -> Callable[[Fields], object]:
    return lambda fields: fields["lineage"].update(change)


def contract(change: Fields) -> Callable[[Fields], object]:
    return lambda fields: fields["contract"].update(change)


def called(name: str) -> Callable[[Fields], object]:
    def change(fields: Fields) -> None:
        fields["adapters"][-1].update(name=name, task=name)
        fields["lineage"].update(name=name)

    return change


RECORDS: list[tuple[str, Callable[[Fields], object], str]] = [
    ("an unknown field", lambda fields: fields.update(more=1), "unknown 'more'"),
    ("an unknown field of the adapter", last({"code": "import os"}), "unknown 'code'"),
    ("a missing field", lambda fields: fields.pop("contract"), "without contract"),
    ("a missing field of the adapter", lambda fields: fields["adapters"][0].pop("epochs"), "without epochs"),
    ("a missing field of the lineage", lambda fields: fields["lineage"].pop("labels"), "without labels"),
    ("no adapter", lambda fields: fields["adapters"].clear(), "names no adapter"),
    ("two adapters", lambda fields: fields["adapters"].append(fields["adapters"][0]), ""),
    ("a version that is a text", last({"version": "1"}), "version: expected int"),
    ("a version that is a fraction", last({"version": 1.5}), "version: expected int"),
    ("a version that is true", last({"version": True}), "version: expected int"),
    ("a version of 0", lambda fields: (last({"version": 0})(fields), lineage({"version": 0})(fields)), ""),
    ("a version beyond any", last({"version": 10**30}), "too large an integer"),
    ("a name that climbs out", called("../../etc"), "'../../etc' is not allowed"),
    ("a name with a colour in it", called("a\x1b[31m"), "without control characters"),
    ("a name that is too long", called("x" * 129), "is not allowed"),
    ("an empty name", called(""), "is not allowed"),
    ("another task", last({"task": "other"}), "names and versions differ"),
    ("a score above 1", last({"validation_score": 1.5}), "lies in [0, 1]"),
    ("a time below 0", last({"seconds": -1.0}), "below 0"),
    ("a day that is none", last({"created_at": "yesterday"}), "at no time"),
    ("another size", last({"bytes": 3}), "bytes"),
    ("another count", last({"parameters": 3}), "numbers of its record"),
    ("another digest", last({"digest": "0" * 64}), "adapter.safetensors is not the file"),
    ("another method", last({"method": "lora"}), "config says otherwise"),
    ("an unknown method", last({"method": "prompt", "config": '{"method":"prompt"}'}), "config"),
    ("another config", last({"config": '{"method":"bottleneck","rank":4}'}), "not the one in its record"),
    ("members it has not", last({"members": [{"name": "a", "version": 1, "digest": "0" * 64}]}), "made of no other"),
    ("an attention that is not there", last({"attention": "0" * 64}), "attention.json"),
    ("one label", lineage({"labels": ["plant"]}), "two labels or more"),
    ("a label twice", lineage({"labels": ["plant", "plant"]}), "two labels or more"),
    ("three labels", lineage({"labels": ["plant", "tool", "x"]}), "heads of 3 labels"),
    ("no test rows", lambda fields: fields["lineage"]["sources"].clear(), "without test rows"),
    ("columns of four", lineage({"columns": ["a", "b", "c", "d"]}), "columns: expected 3 values"),
    ("another base of the lineage", lineage({"base": "0" * 64}), "another base"),
    ("centroids that are not there", lineage({"centroids": "0" * 64}), "centroids.safetensors is not the file"),
    ("scatter for centroids", lambda fields: lineage({"centroids": fields["lineage"]["scatter"]})(fields), "centroids"),
    ("a fingerprint that is none", contract({"fingerprint": "../x"}), "no SHA-256"),
    ("a trunk above the base", contract({"trunk": 9}), "trunk"),
    ("an unknown pooling", contract({"pooling": "max"}), "pooling"),
    ("feature blocks of no base", contract({"feature_blocks": [1, 99]}), "feature blocks"),
    ("a hidden size of 0", contract({"hidden_size": 0}), "sizes"),
    ("a negative router width", contract({"router_width": -4}), "router width"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in RECORDS], ids=[case[0] for case in RECORDS])
def test_a_record_that_cannot_be_is_refused(
    with_record: Made, refused: Callable[..., str], change: Callable[[Fields], object], said: str
) -> None:
    assert said in refused(with_record(change))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\x80\x04N.", b"{" * 1000, b'{"adapters": NaN}'])
def test_a_record_that_is_no_record_is_refused(reseal: Made, refused: Callable[..., str], data: bytes) -> None:
    assert "record.json" in refused(reseal("garden", {"record.json": data}))


@pytest.mark.parametrize("field", ["fingerprint", "model_type", "max_tokens"])
def test_another_base_is_refused_by_the_field_that_differs(
    with_record: Made, refused: Callable[..., str], field: str
) -> None:
    other = {"fingerprint": "0" * 64, "model_type": "gpt2", "max_tokens": 7}

    def change(fields: Fields) -> None:
        fields["contract"][field] = other[field]
        fields["lineage"]["base"] = fields["contract"]["fingerprint"]

    assert f"({field}: " in refused(with_record(change), BaseMismatch)


# The tensors


def put(name: str, value: Any) -> Callable[[Fields], object]:
    return lambda arrays: arrays.update({name: np.asarray(value)})


def scaled(name: str, number: float) -> Callable[[Fields], object]:
    def change(arrays: Fields) -> None:
        array = arrays[name].copy()
        array.reshape(-1)[0] = number
        arrays[name] = array

    return change


def first_site(change: Callable[[Fields, str], object]) -> Callable[[Fields], object]:
    return lambda arrays: change(arrays, min(name for name in arrays if name.endswith(".down")).removesuffix(".down"))


def moved_to(place: str) -> Callable[[Fields], object]:
    def change(arrays: Fields, site: str) -> None:
        for name in [name for name in arrays if name.startswith(f"{site}.")]:
            arrays[f"sites.{place}.{name.rpartition('.')[2]}"] = arrays.pop(name)

    return first_site(change)


WEIGHTS: list[tuple[str, str, Callable[[Fields], object], str]] = [
    ("NaN in a head", "garden", scaled("head.bias", np.nan), "NaN"),
    ("infinity in a head", "garden", scaled("head.weight", np.inf), "NaN or infinity"),
    ("NaN at a site", "kitchen", first_site(lambda a, site: scaled(f"{site}.up", np.nan)(a)), "NaN"),
    ("a head for three labels", "garden", put("head.bias", np.zeros(3, np.float32)), "heads of 2 labels"),
    ("a head on fewer features", "garden", put("head.weight", np.zeros((2, 5), np.float32)), "heads of 2 labels"),
    ("no head", "garden", lambda arrays: arrays.pop("head.bias"), "heads of 2 labels"),
    ("a second head", "garden", put("head.1.bias", np.zeros(2, np.float32)), "heads of 2 labels"),
    ("other numbers", "garden", lambda a: a.update({k: v.astype(np.float64) for k, v in a.items()}), "float32"),
    ("another rank", "garden", first_site(lambda a, s: put(f"{s}.down", np.zeros((3, 32), np.float32))(a)), "rank"),
    ("a narrower base", "garden", first_site(lambda a, s: put(f"{s}.down", np.zeros((48, 8), np.float32))(a)), "32"),
    ("one number", "garden", first_site(lambda a, s: put(f"{s}.up", np.zeros((), np.float32))(a)), "expected down"),
    (
        "a bias of a LoRA",
        "kitchen",
        first_site(lambda a, s: put(f"{s}.up_bias", np.zeros(32, np.float32))(a)),
        "expected",
    ),
    ("a strange tensor", "garden", put("config", np.zeros(1, np.float32)), "at no place"),
    ("a site in the trunk", "garden", moved_to("0.ffn_output"), "above its trunk"),
    ("a site above the base", "garden", moved_to("4.ffn_output"), "above its trunk"),
    ("a site that the base lacks", "kitchen", moved_to("2.linear:nowhere"), "does not fit the base"),
    ("a site of another method", "garden", moved_to("2.attention_output"), "does not fit the base"),
    (
        "a wider linear layer",
        "kitchen",
        first_site(lambda a, s: put(f"{s}.down", np.zeros((8, 77), np.float32))(a)),
        "does not fit the base",
    ),
]


@pytest.mark.parametrize(("name", "change", "said"), [one[1:] for one in WEIGHTS], ids=[one[0] for one in WEIGHTS])
def test_weights_that_do_not_fit_are_refused(
    with_tensors: Made, refused: Callable[..., str], name: str, change: Callable[[Fields], object], said: str
) -> None:
    assert said in refused(with_tensors("adapter.safetensors", change, name))


STATISTICS: list[tuple[str, str, Callable[[Fields], object], str]] = [
    ("NaN", "centroids", scaled("means", np.nan), "NaN"),
    ("a third class", "centroids", put("counts", np.ones(3, np.int64)), "centroids"),
    ("an empty class", "centroids", scaled("counts", 0), "must have an example"),
    ("counts that are fractions", "centroids", put("counts", np.ones(2)), "another kind"),
    ("fewer features", "centroids", put("means", np.zeros((2, 5))), "centroids"),
    ("a smaller corner", "centroids", put("corner", np.zeros(6)), "centroids"),
    ("something else", "centroids", put("more", np.zeros(6)), "centroids"),
    ("infinity", "scatter", scaled("scatter", np.inf), "NaN"),
    ("a smaller scatter", "scatter", put("scatter", np.zeros(6)), "scatter"),
    ("NaN", "evaluation", scaled("test_features", np.nan), "NaN"),
    ("fewer rows", "evaluation", put("test_labels", np.zeros(3, np.int64)), "evaluation"),
    ("a label beyond", "evaluation", scaled("test_labels", 2), "numbers of 2 labels"),
    ("a prediction below", "evaluation", scaled("test_predictions", -1), "numbers of 2 labels"),
    ("a baseline above 1", "evaluation", put("baseline", np.array([1.5])), "baseline"),
    (
        "other numbers",
        "evaluation",
        lambda a: put("test_features", a["test_features"].astype(np.float64))(a),
        "float32",
    ),
    ("no predictions", "evaluation", lambda arrays: arrays.pop("test_predictions"), "evaluation"),
]


@pytest.mark.parametrize(
    ("part", "change", "said"), [one[1:] for one in STATISTICS], ids=[f"{one[1]} with {one[0]}" for one in STATISTICS]
)
def test_statistics_that_do_not_fit_are_refused(
    with_tensors: Made, refused: Callable[..., str], part: str, change: Callable[[Fields], object], said: str
) -> None:
    assert said in refused(with_tensors(f"{part}.safetensors", change))


def test_an_over_long_header_is_refused(reseal: Made, bundles: Path, refused: Callable[..., str]) -> None:
    long = struct.pack("<Q", 5 << 20) + b"{}".ljust(5 << 20)
    record = json.loads((bundles / "garden" / "record.json").read_text())
    record["adapters"][-1].update(digest=hashlib.sha256(long).hexdigest(), bytes=len(long))
    changes = {"adapter.safetensors": long, "record.json": json.dumps(record).encode()}
    assert "declares a header of 5,242,880 bytes" in refused(reseal("garden", changes))


# The config, which lies in the weights and in the record


CONFIGS = {
    "a rank that is a text": ("rank", "48"),
    "a rank beyond any memory": ("rank", 10**12),
    "a setting too many": ("code", "x"),
    "a scale of 0": ("scale", 0.0),
    "an unknown activation": ("activation", "eval"),
    "blocks that are no list": ("blocks", 3),
    "blocks of the trunk": ("blocks", [0]),
}


@pytest.mark.parametrize(("key", "value"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_that_cannot_be_is_refused(
    bundles: Path, reseal: Made, refused: Callable[..., str], key: str, value: object
) -> None:
    record = json.loads((bundles / "garden" / "record.json").read_text())
    config = {**json.loads(record["adapters"][-1]["config"]), key: value}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    data = save(load((bundles / "garden" / "adapter.safetensors").read_bytes()), metadata={"config": text})
    record["adapters"][-1].update(config=text, digest=hashlib.sha256(data).hexdigest(), bytes=len(data))
    changes = {"adapter.safetensors": data, "record.json": json.dumps(record).encode()}
    refused(reseal("garden", changes))


def test_a_verdict_that_is_none_is_refused(reseal: Made, refused: Callable[..., str]) -> None:
    assert "verdict.json" in refused(reseal("garden", {"verdict.json": b'{"outcome": "PASS"}'}))


def test_an_attention_over_other_members_is_refused(
    bundles: Path, reseal: Made, tmp_path: Path, refused: Callable[..., str]
) -> None:
    record = json.loads((bundles / "mixed" / "record.json").read_text())
    attention = json.loads((bundles / "mixed" / "attention.json").read_text())
    for change in ({"members": ["a@1"]}, {"mean": []}, {"labels": []}, {"by_label": [[[1.0]]]}, {"rows": "many"}):
        data = json.dumps({**attention, **change}).encode()
        record["adapters"][-1]["attention"] = hashlib.sha256(data).hexdigest()
        source = reseal("mixed", {"attention.json": data, "record.json": json.dumps(record).encode()})
        assert "the attention of adapter 'mixed'@2" in refused(source)
        shutil.rmtree(source)
    unnamed = reseal("mixed", {"attention.json": b"{}"})
    assert "attention.json is not the file" in refused(unnamed)
