"""Which adapters need which, against a plain walk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import Conflict
from portfolio.members import dependants, require_unneeded, with_dependants
from portfolio.records import AdapterRecord, Member


def version(name: str, *members: str, number: int = 1) -> AdapterRecord:
    """An adapter that is made of the first versions of these."""
    return AdapterRecord(
        name=name,
        version=number,
        task=name,
        digest=name,
        method="fusion" if members else "lora",
        config="{}",
        training="{}",
        parameters=1,
        bytes=4,
        seconds=1.0,
        epochs=1,
        seed=0,
        validation_score=0.5,
        members=tuple(Member(name=member, version=1, digest=member) for member in members),
    )


# `pair` is made of a, b and its own first version; `late` of c and the first version of `pair`.
ADAPTERS = [
    version("a"),
    version("b"),
    version("c"),
    version("pair"),
    version("pair", "a", "b", "pair", number=2),
    version("late", "c", "pair"),
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], {"pair@2": ["a@1"]}),
        (["a", "b"], {"pair@2": ["a@1", "b@1"]}),
        (["c", "b"], {"pair@2": ["b@1"], "late@1": ["c@1"]}),
        (["pair"], {"late@1": ["pair@1"]}),
        (["a", "pair"], {"late@1": ["pair@1"]}),
        (["late"], {}),
        (["a", "pair", "late"], {}),
        ([], {}),
    ],
)
def test_what_stays_and_needs_what_goes_is_named(names: list[str], expected: dict[str, list[str]]) -> None:
    assert dependants(ADAPTERS, names) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], ("a", "pair", "late")),
        (["c"], ("c", "late")),
        (["late"], ("late",)),
        (["late", "b", "late"], ("late", "b", "pair")),
        (["c", "b"], ("c", "b", "pair", "late")),
    ],
)
def test_all_that_must_go_along_comes_after_what_was_given_in_the_order_of_the_portfolio(
    names: list[str], expected: tuple[str, ...]
) -> None:
    assert with_dependants(ADAPTERS, names) == expected


def test_the_refusal_says_who_needs_what_and_what_to_do() -> None:
    with pytest.raises(Conflict) as raised:
        require_unneeded(ADAPTERS, ["b", "c"])
    said = str(raised.value)
    assert "pair@2 is made of b@1; late@1 is made of c@1" in said
    assert "Remove late and pair first" in said
    assert "portfolio remove-task b c --cascade" in said


def test_what_nobody_needs_may_go() -> None:
    require_unneeded(ADAPTERS, ["late"])
    require_unneeded(ADAPTERS, ["late", "pair", "a"])


NAMES = "stuvwxyz"


@settings(max_examples=50)
@given(
    needs=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14),
    start=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
)
def test_with_all_that_must_go_along_nothing_stands_in_the_way(needs: list[tuple[str, str]], start: list[str]) -> None:
    """Also where later versions of two tasks need each other."""
    adapters = [version(name) for name in NAMES]
    adapters += [version(name, member, number=number) for number, (name, member) in enumerate(needs, start=2)]
    expected = set(start)
    for _ in NAMES:
        expected |= {name for name, member in needs if member in expected}
    going = with_dependants(adapters, start)
    assert sorted(going) == sorted(expected)
    assert dependants(adapters, going) == {}
    given = len(set(start))
    assert set(going[:given]) == set(start)
    assert list(going[given:]) == sorted(going[given:])
