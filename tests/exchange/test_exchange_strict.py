"""JSON and safetensors of unknown origin: only what is expected comes through."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
from safetensors.numpy import save

from portfolio.errors import Untrusted
from portfolio.exchange.manifest import Entry, Manifest
from portfolio.exchange.strict import record_of, strict_json
from portfolio.exchange.tensors import MOST_HEADER_BYTES, read_tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    count: int
    score: float
    label: str
    is_kept: bool
    pair: tuple[str, str | None]
    numbers: tuple[int, ...]
    inner: tuple[Inner, ...]
    maybe: tuple[int, ...] | None


GOOD = Outer(
    count=1,
    score=0.5,
    label="a\nb é",
    is_kept=True,
    pair=("a", None),
    numbers=(1, 2),
    inner=(Inner(name="x"),),
    maybe=None,
)


def test_a_record_comes_back_as_it_was() -> None:
    for record in (GOOD, replace(GOOD, maybe=(1,), numbers=(), inner=())):
        assert record_of(Outer, strict_json(json.dumps(asdict(record)), "it"), "it") == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("count", value) for value in ("1", 1.0, True, None, [1])),
        *(("score", value) for value in ("0.5", True, None)),
        *(("label", value) for value in (1, None, "a\x1b[31m", "a\x00", "\x9b", "\ud800")),
        *(("is_kept", value) for value in (1, "true", None)),
        *(("pair", value) for value in (["a"], ["a", None, "b"], "ab", [None, "a"])),
        *(("numbers", value) for value in ([1, "2"], {"0": 1}, 1, [True])),
        *(("inner", value) for value in ([{}], [{"name": "x", "more": 1}], [{"name": 1}], ["x"])),
        ("maybe", "12"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_place(field: str, value: object) -> None:
    with pytest.raises(Untrusted, match=f"it: {field}"):
        record_of(Outer, {**json.loads(json.dumps(asdict(GOOD))), field: value}, "it")


def test_missing_and_unknown_fields_are_both_named() -> None:
    fields = json.loads(json.dumps(asdict(GOOD)))
    fields["extra"] = fields.pop("count")
    with pytest.raises(Untrusted, match=r"without count and with the unknown 'extra'"):
        record_of(Outer, fields, "it")


@pytest.mark.parametrize(
    "text",
    [
        *("{", "", "nul", '{"a": 1, "a": 2}', '[{"a": {"b": 1, "b": 1}}]', "NaN", "[Infinity]", "-Infinity", "1e999"),
        *("9" * 30, "[" * 100_000, '{"a":' * 100_000, "\ufeff{}"),
    ],
)
def test_json_that_is_not_strict_is_refused(text: str) -> None:
    with pytest.raises(Untrusted, match="it is not the JSON"):
        strict_json(text, "it")


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(Untrusted, match="it is not the JSON"):
        strict_json(b'"\xff"', "it")


def with_header(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def one(dtype: str = "F32", shape: object = (1,), offsets: object = (0, 4)) -> bytes:
    header = {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    return with_header(json.dumps(header).encode(), bytes(4))


def test_tensors_come_with_their_metadata() -> None:
    tensors = read_tensors(save({"x": np.ones(3, np.float32)}, metadata={"config": "{}"}), "it")
    assert tensors.metadata == {"config": "{}"} and tensors.arrays["x"].tolist() == [1, 1, 1]


def test_a_header_longer_than_any_is_refused_before_it_is_read() -> None:
    for length in (MOST_HEADER_BYTES + 1, 2**63, 2**64 - 1):
        with pytest.raises(Untrusted, match="declares a header"):
            read_tensors(struct.pack("<Q", length) + b"{" * (MOST_HEADER_BYTES + 100), "it")
    with pytest.raises(Untrusted, match="declares a header"):
        read_tensors(struct.pack("<Q", 100) + b"{}", "it")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x80\x04N.", with_header(b"[]"), with_header(b"{"), with_header(b'{"x": {}, "x": {}}')),
        with_header(b'{"__metadata__": {"a": 1}}'),
        with_header(b'{"__metadata__": []}'),
        *(one("F31"), one("BF16", (2,)), one(shape=(2,)), one(shape=(-1,)), one(shape=("a",)), one(shape="1")),
        *(one(offsets=(0, 8)), one(offsets=(4, 8)), one(offsets=(4, 0)), one(shape=(2**40, 2**40), offsets=(0, 4))),
        one() + b"hidden",
    ],
)
def test_what_is_no_safetensors_is_refused(data: bytes) -> None:
    with pytest.raises(Untrusted):
        read_tensors(data, "it")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_number_that_is_not_finite_is_refused(number: float, dtype: type) -> None:
    array = np.zeros((3, 4), dtype)
    array[1, 2] = number
    with pytest.raises(Untrusted, match="tensor 'x' holds NaN or infinity"):
        read_tensors(save({"x": array}), "it")


# The manifest

FILES = {"a.json": Entry(bytes=1, sha256="a" * 64), "b/c": Entry(bytes=0, sha256="0" * 64)}
MANIFEST = Manifest(kind="adapter", files=FILES)


def test_a_manifest_comes_back_and_no_changed_byte_of_it_means_the_same() -> None:
    data = MANIFEST.to_bytes()
    assert Manifest.from_bytes(data) == MANIFEST
    for place in range(len(data)):
        for bit in (1, 32, 128):
            changed = bytearray(data)
            changed[place] ^= bit
            try:
                other = Manifest.from_bytes(bytes(changed))
            except Untrusted:
                continue
            assert other != MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"format": "adapter-portfolio-2"},
        {"kind": "model"},
        {"kind": ["adapter"]},
        {"files": []},
        {"files": {"a": "b"}},
        {"files": {"a": {"bytes": 1}}},
        {"files": {"a": {"bytes": -1, "sha256": "a" * 64}}},
        {"files": {"a": {"bytes": True, "sha256": "a" * 64}}},
        {"files": {"a": {"bytes": 1, "sha256": "A" * 64}}},
        {"more": 1},
    ],
)
def test_a_manifest_of_another_form_is_refused(change: dict[str, object]) -> None:
    fields = {**json.loads(MANIFEST.to_bytes()), **change}
    with pytest.raises(Untrusted, match="manifest.json"):
        Manifest.from_bytes((json.dumps(fields, sort_keys=True, indent=1) + "\n").encode())


def test_a_manifest_written_otherwise_is_refused() -> None:
    with pytest.raises(Untrusted, match="not written as this package writes it"):
        Manifest.from_bytes(json.dumps(json.loads(MANIFEST.to_bytes())).encode())


def test_every_difference_between_files_and_manifest_is_named() -> None:
    MANIFEST.require(FILES)
    with pytest.raises(Untrusted, match="missing: b/c; not in the manifest: new; changed: a.json"):
        MANIFEST.require({"a.json": Entry(bytes=2, sha256="a" * 64), "new": FILES["b/c"]})
