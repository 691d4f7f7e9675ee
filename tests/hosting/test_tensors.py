"""Bytes of safetensors form are read as the library reads them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save

from portfolio.hosting.tensors import read_tensors

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture
def written():
    dice = torch.Generator().manual_seed(0)
    tensors = {f"{dtype}.{rows}": torch.randn(rows, 3, generator=dice).to(dtype) for dtype in DTYPES for rows in (1, 4)}
    return save({**tensors, "flat": torch.arange(5.0)}, {"said": "of it"})


def test_they_are_those_that_the_library_reads(written):
    tensors, metadata = read_tensors(written)
    expected = load(written)
    assert metadata == {"said": "of it"}
    assert set(tensors) == set(expected)
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_what_is_written_into_one_changes_nothing_else(written):
    before = bytes(written)
    tensors, _ = read_tensors(written)
    others = {name: tensor.clone() for name, tensor in tensors.items() if name != "flat"}
    tensors["flat"].fill_(7)
    assert all(torch.equal(tensors[name], other) for name, other in others.items())
    assert written == before


def test_bytes_without_metadata_have_none():
    assert read_tensors(save({"flat": torch.ones(2)}))[1] == {}
