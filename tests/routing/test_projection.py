"""The projection: the same bits for ever, linear, and distances kept."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.projection import Projection


def plain_signs(seed, width_in, width_out):
    """The bits of the digest read from the left, as one whole number."""
    text = f"routing.projection seed={seed} width_in={width_in} width_out={width_out}"
    n_bytes = (width_in * width_out + 7) // 8
    number = int(hashlib.shake_256(text.encode()).hexdigest(n_bytes), 16)
    bits = f"{number:0{8 * n_bytes}b}"
    return [[1 if bits[i * width_out + j] == "1" else -1 for j in range(width_out)] for i in range(width_in)]


@pytest.mark.parametrize(("seed", "width_in", "width_out"), [(0, 7, 5), (3, 16, 16), (12, 40, 3), (0, 1, 1)])
def test_the_signs_are_the_bits_of_a_digest_of_seed_and_sizes(seed, width_in, width_out):
    matrix = Projection(width_in=width_in, width_out=width_out, seed=seed).matrix()
    assert (matrix.dtype, matrix.shape) == (np.float32, (width_in, width_out))
    np.testing.assert_array_equal(np.sign(matrix), plain_signs(seed, width_in, width_out))
    np.testing.assert_array_equal(np.abs(matrix), np.float32(1 / math.sqrt(width_out)))


def test_the_first_bits_stay_what_they_were():
    """Stored statistics lie in this space. The bytes: printf 'routing.projection seed=0 width_in=64 width_out=8' |
    openssl dgst -shake256 -xoflen 4"""
    first = Projection(width_in=64, width_out=8).matrix()[:4] > 0
    assert bytes(np.packbits(first, axis=1).ravel()).hex() == "b9fdd8ea"


def test_another_seed_or_size_is_another_projection():
    first = Projection(width_in=64, width_out=32, seed=0).matrix()
    other_seed = Projection(width_in=64, width_out=32, seed=1).matrix()
    wider = Projection(width_in=65, width_out=32, seed=0).matrix()[:64]
    for other in (other_seed, wider):
        assert 0.4 < np.mean(np.sign(first) == np.sign(other)) < 0.6


def test_the_matrix_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        Projection(width_in=4, width_out=2).matrix()[0, 0] = 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(512, 1200))
def test_distances_are_kept_to_a_half(seed, width_in):
    """20 rows to 512 numbers: among all 190 pairs, more than a half either way is less likely than one in 10 million."""
    rows = np.random.default_rng(seed).normal(size=(20, width_in)) * np.geomspace(1, 1e-2, width_in)
    projected = Projection(width_in=width_in, width_out=512, seed=seed).apply(rows)
    for i in range(20):
        for j in range(i):
            before, after = (float(np.sum((x[i] - x[j]) ** 2)) for x in (rows, projected))
            assert 0.5 * before < after < 1.5 * before


def test_it_is_linear_so_that_sums_of_rows_stay_sums():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 6, 48))
    projection = Projection(width_in=48, width_out=16)
    np.testing.assert_allclose(
        projection.apply(2 * x - 3 * y), 2 * projection.apply(x) - 3 * projection.apply(y), atol=1e-12
    )
    np.testing.assert_allclose(projection.apply(x).sum(axis=0), projection.apply(x.sum(axis=0)[None])[0], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_row_is_too_few_and_the_type_is_kept(dtype):
    projected = Projection(width_in=6, width_out=2).apply(np.empty((0, 6), dtype=dtype))
    assert (projected.shape, projected.dtype) == ((0, 2), dtype)


@pytest.mark.parametrize(("width_in", "width_out"), [(4, 5), (4, 0), (0, 0)])
def test_sizes_that_cannot_be_are_refused(width_in, width_out):
    with pytest.raises(ValueError, match="expected a projection"):
        Projection(width_in=width_in, width_out=width_out)


def test_features_of_another_width_or_not_finite_are_refused():
    projection = Projection(width_in=3, width_out=2)
    with pytest.raises(ValueError, match=r"expected \(N, 3\)"):
        projection.apply(np.ones((2, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="row 1"):
        projection.apply(np.array([[1.0, 2, 3], [np.nan, 0, 0]]))
