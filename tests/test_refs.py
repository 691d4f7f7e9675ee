"""Which tags a task may have."""

from __future__ import annotations

import pytest

from portfolio.errors import InvalidName
from portfolio.refs import check_tag


@pytest.mark.parametrize("key", ["tenant", "cost.centre", "2nd", "k" * 128])
@pytest.mark.parametrize("value", ["a", "high risk", "Zürich & 東京", "v" * 128])
def test_a_key_is_a_name_and_a_value_any_printable_line(key: str, value: str) -> None:
    check_tag(key, value)


@pytest.mark.parametrize("key", ["", "two words", "-x", "ü", "k" * 129, "a\n"])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(InvalidName, match="tag .* is not allowed: expected 1 to 128 letters"):
        check_tag(key, "value")


@pytest.mark.parametrize("key", ["task", "name"])
def test_what_every_task_has_already_cannot_be_a_tag(key: str) -> None:
    with pytest.raises(InvalidName, match=f"tag '{key}' is reserved"):
        check_tag(key, "value")


@pytest.mark.parametrize("value", ["", "two\nlines", "tab\t", "\x1b[2J", "\ud800", "\u2028"])
def test_a_value_that_is_empty_or_cannot_be_printed_is_refused(value: str) -> None:
    with pytest.raises(InvalidName, match="value of tag 'risk' .* expected 1 to 128 printable characters"):
        check_tag("risk", value)


def test_a_value_that_is_too_long_is_refused_and_not_shown_whole() -> None:
    with pytest.raises(InvalidName, match="and more, 1,000,000 in all") as raised:
        check_tag("risk", "v" * 1_000_000)
    assert len(str(raised.value)) < 400
