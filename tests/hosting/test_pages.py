"""Rows of matrices are given out and taken back; nobody's rows are written while a plan may read them."""

from __future__ import annotations

import gc

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portfolio.hosting.pages import Leases, Pages

WIDTH = 3


def pages_of(leases):
    return Pages({"wide": WIDTH, "flat": None}, torch.float64, torch.device("cpu"), leases)


def matrices(count, seed):
    dice = torch.Generator().manual_seed(seed)
    return {
        "wide": torch.randn(count, WIDTH, generator=dice, dtype=torch.float64),
        "flat": torch.randn(count, generator=dice, dtype=torch.float64),
    }


def in_pieces(made):
    """The first row, and the others."""
    return {name: [one[:1], one[1:]] for name, one in made.items()}


def read(pages, ref):
    [rows] = pages.rows_of([ref])
    return {name: matrix[torch.from_numpy(rows)] for name, matrix in pages.matrices.items()}


CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "remove", "lease", "release", "trim"]), st.integers(0, 5), st.integers(1, 4)),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(changes=CHANGES)
@example(
    changes=[("put", 1, 3), ("remove", 1, 1), ("put", 0, 1), ("put", 1, 3)]
)  # rows whose ends alone look like a run
def test_everyone_reads_what_was_put_for_them_and_a_lease_what_was_there(changes):
    """Beside a plain dictionary, over any order of coming, going and reading."""
    leases = Leases()
    pages, there, leased = pages_of(leases), {}, []
    for number, (what, name, count) in enumerate(changes):
        ref = f"adapter {name}"
        if what == "put" and ref not in there:
            there[ref] = matrices(count, number)
            pages.reserve(count)
            pages.put(ref, in_pieces(there[ref]))
        elif what == "remove" and ref in there:
            pages.remove(ref)
            del there[ref]
        elif what == "lease" and there:
            rows = {one: pages.rows_of([one])[0] for one in there}
            leased.append((leases.take(), dict(pages.matrices), rows, dict(there)))
        elif what == "release" and leased:
            leased.pop(0)
        elif what == "trim":
            pages.trim()
        assert len(pages) == len(there)
        for one, wanted in there.items():
            for matrix, values in read(pages, one).items():
                assert torch.equal(values, wanted[matrix])
        for _, before, rows, wanted in leased:
            for one, values in wanted.items():
                for matrix in before:
                    assert torch.equal(before[matrix][torch.from_numpy(rows[one])], values[matrix])
        assert all((matrix[0] == 0).all() for matrix in pages.matrices.values())


def test_rows_given_back_are_taken_again_without_new_tensors():
    pages = pages_of(Leases())
    pages.reserve(4)
    pages.put("a", in_pieces(matrices(4, 0)))
    before = pages.matrices["wide"]
    pages.remove("a")
    pages.reserve(4)
    pages.put("b", in_pieces(matrices(4, 1)))
    assert pages.matrices["wide"] is before
    assert pages.bytes == 5 * (WIDTH + 1) * 8


def test_rows_that_a_lease_may_read_are_free_only_when_it_is_gone():
    leases = Leases()
    pages = pages_of(leases)
    pages.reserve(2)
    pages.put("a", in_pieces(matrices(2, 0)))
    lease = leases.take()
    pages.remove("a")
    later = leases.take()  # it cannot know of them
    assert pages.free == 0
    del lease
    gc.collect()
    assert pages.free == 2
    assert later is not None


def test_who_has_fewer_rows_or_none_points_at_row_0():
    pages = pages_of(Leases())
    pages.reserve(3)
    pages.put("one", in_pieces(matrices(1, 0)))
    pages.put("two", in_pieces(matrices(2, 1)))
    rows = pages.rows_of(["two", "nobody", "one"])
    assert rows.shape == (3, 2)
    assert rows[1].tolist() == [0, 0]
    assert rows[2, 1] == 0
    assert 0 not in (*rows[0], rows[2, 0])
    assert pages.rows_of(["nobody"]).shape == (1, 0)


def test_trimmed_it_keeps_no_row_free():
    pages = pages_of(Leases())
    pages.reserve(50)
    pages.put("a", in_pieces(matrices(2, 0)))
    pages.trim()
    assert pages.free == 0
    assert pages.bytes == 3 * (WIDTH + 1) * 8
