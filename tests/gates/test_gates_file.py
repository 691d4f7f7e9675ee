"""The text of `gates.toml`, the line of every fault in it, and the page about it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import ConfigError
from portfolio.gates.defaults import DEFAULT_GATES
from portfolio.gates.gates_file import GatesFile, default_gates
from portfolio.gates.gates_text import parse_gates
from portfolio.gates.rules import CHECKS, Rule
from portfolio.gates.rules_effects import IntegrityCheck, OthersCheck
from portfolio.gates.rules_examples import SliceCheck
from portfolio.gates.rules_quality import BoundCheck, NoWorseCheck
from portfolio.gates.rules_text import REFUSALS, TextCheck
from routing.rules import Condition

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")

WHOLE = """\
[[rule]]
check = "bound"
metric = "accuracy"
at_least = 0.9

[[rule]]
check = "slices"
name = "every tenant"
for = { kind = "product", risk = ["high", "medium"] }
column = "tenant"
delta = 0.05
buckets = [10, 20]

[[rule]]
check = "bound"
metric = "ece"
at_most = 1
"""
MEANING = (
    Rule(name="bound", check=BoundCheck(metric="accuracy", at_least=0.9)),
    Rule(
        name="every tenant",
        check=SliceCheck(column="tenant", delta=0.05, buckets=(10, 20)),
        conditions=(
            Condition(key="kind", values=("product",)),
            Condition(key="risk", values=("high", "medium")),
        ),
    ),
    Rule(name="bound 2", check=BoundCheck(metric="ece", at_most=1)),
)
# A rule of each check that lacks nothing, as lines.
SOUND = {
    "bound": "metric = 'accuracy'\nat_least = 0.9",
    "no-worse": "delta = 0.02",
    "slices": "column = 'tenant'\nat_least = 0.5",
    "golden": "file = 'golden.jsonl'",
    "others": "delta = 0.02",
    "routing": "at_least = 0.5",
    "calibration": "at_most = 0.1",
    "typos": "rate = 0.1\nat_least = 0.5",
    "cost": "bytes = 1000",
    "integrity": "",
    "suite": "suite = 'style'\nat_least = 0.9",
    "text": "outputs = 'out.jsonl'\nlongest = 200",
}


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse_gates(text)
    return str(raised.value).splitlines()


def test_a_file_of_rules_means_what_it_says():
    assert parse_gates(WHOLE) == MEANING
    assert parse_gates(WHOLE.replace("\n", "\r\n")) == MEANING


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_can_be_written_and_is_named_after_itself(kind):
    [rule] = parse_gates(f"[[rule]]\ncheck = '{kind}'\n{SOUND[kind]}\n")
    assert (rule.name, type(rule.check), rule.conditions) == (kind, CHECKS[kind], ())


def test_a_name_that_was_given_is_not_taken_by_a_rule_without_one():
    rules = parse_gates("[[rule]]\ncheck = 'integrity'\n[[rule]]\ncheck = 'integrity'\nname = 'integrity'")
    assert [rule.name for rule in rules] == ["integrity 2", "integrity"]


def test_a_rule_holds_for_tasks_with_all_its_tags():
    rule = MEANING[1]
    assert rule.holds_for({"kind": "product", "risk": "medium", "tenant": "acme"})
    assert not rule.holds_for({"kind": "product", "risk": "low"})
    assert not rule.holds_for({"kind": "product"})
    assert MEANING[0].holds_for({})


# Faults


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "detla = 0.1",
            'unknown key "detla": expected one of check, name, for, delta, alpha, least, on; did you mean delta?',
        ),
        ("zzz = 0.1", 'unknown key "zzz": expected one of check, name, for, delta, alpha, least, on'),
        ("name = 7", "expected one line of text, got 7"),
        ("name = ' '", 'expected one line of text, got " "'),
        (r'name = "two\nlines"', r'expected one line of text, got "two\nlines"'),
        ("for = 'product'", 'expected a table of tags, such as { kind = "product" }, got "product"'),
        ("for = {}", 'expected a table of tags, such as { kind = "product" }, got {}'),
        ("for.kind = []", "expected text or a list of texts, none of them empty, got []"),
        ("for.kind = 3", "expected text or a list of texts, none of them empty, got 3"),
        ("alpha = 0.5", "expected a level from 0.001 to 0.2, such as 0.05, got 0.5"),
        ("alpha = 'five'", 'expected a level from 0.001 to 0.2, such as 0.05, got "five"'),
        ("least = 0", "expected a whole number, 1 or more, got 0"),
        ("least = 3.0", "expected a whole number, 1 or more, got 3.0"),
        ("least = true", "expected a whole number, 1 or more, got true"),
        ("on = ''", 'expected one line of text, got ""'),
        ("on = ['a']", 'expected one line of text, got ["a"]'),
    ],
)
def test_a_fault_in_a_rule_is_named_with_its_line(line, message):
    text = f"# first\n[[rule]]\ncheck = 'integrity'\n[[rule]]\ncheck = 'no-worse'\ndelta = 0.1\n{line}\n"
    assert faults(text) == [f"gates.toml:7: {message}"]


@pytest.mark.parametrize(
    ("kind", "lines", "line", "message"),
    [
        ("bound", "metric = 'acuracy'\nat_least = 0.5", 3, "expected one of accuracy, macro-accuracy, macro-f1, ece, "),
        ("bound", "metric = ['ece']\nat_least = 0.5", 3, "expected one of accuracy, "),
        ("bound", "metric = { a = 1 }\nat_least = 0.5", 3, "expected one of accuracy, "),
        ("bound", "metric = 'ece'", 1, "expected one of at_least, at_most, got none"),
        ("bound", "at_least = 0.5", 1, "expected the key metric in a rule that checks bound, got none"),
        ("bound", "metric = 'ece'\nat_most = 1.5", 4, "expected a share from 0 to 1, got 1.5"),
        ("bound", "metric = 'ece'\nat_most = nan", 4, "expected a share from 0 to 1, got NaN"),
        ("bound", "metric = 'ece'\nat_most = true", 4, "expected a share from 0 to 1, got true"),
        ("bound", "metric = 'ece'\nat_most = [0.1]", 4, "expected a share from 0 to 1, got [0.1]"),
        (
            "bound",
            "metric = 'ece'\nat_most = 0.1\nconfidence = 0.95",
            5,
            "expected it with a share of rows (accuracy, ",
        ),
        ("bound", "metric = 'accuracy'\nat_most = 0.1\nconfidence = 0.5", 5, "expected a confidence from 0.8 to 0.999"),
        ("no-worse", "", 1, "expected the key delta in a rule that checks no-worse, got none"),
        ("no-worse", "delta = -0.1", 3, "expected a share from 0 to 1, got -0.1"),
        ("slices", "column = 'tenant'", 1, "expected one of at_least, delta, got none"),
        ("slices", "column = 'length'\ndelta = 0.1\nbuckets = [9, 3]", 5, "expected rising whole numbers"),
        ("slices", "column = 'length'\ndelta = 0.1\nbuckets = 9", 5, "expected rising whole numbers"),
        ("slices", "column = 'length'\ndelta = 0.1\nbuckets = [0, 3]", 5, "expected rising whole numbers"),
        ("slices", "column = 'tenant'\ndelta = 0.1\nstrict = 1", 5, "expected true or false, got 1"),
        ("golden", "", 1, "expected the key file in a rule that checks golden, got none"),
        ("golden", "file = 3", 3, "expected one line of text, got 3"),
        ("routing", "", 1, "expected one of at_least, delta, oos_recall, got none"),
        ("calibration", "at_most = 0.1\nbins = 0", 4, "expected a whole number, 1 or more, got 0"),
        ("typos", "rate = 0.1", 1, "expected one of at_least, delta, got none"),
        ("typos", "rate = 0\nat_least = 0.1", 3, "expected a share above 0, got 0: no letter would be misspelt"),
        ("typos", "rate = 0.1\nat_least = 0.1\nseed = -1", 5, "expected a whole number, 0 or more, got -1"),
        (
            "cost",
            "",
            1,
            "expected one of bytes, parameters, bytes_to_champion, parameters_to_champion, latency_to_base, ",
        ),
        ("cost", "bytes = 1.5", 3, "expected a whole number, 1 or more, got 1.5"),
        ("cost", "latency_to_base = -1", 3, "expected a number, 0 or more, got -1"),
        ("cost", "latency_to_base = inf", 3, "expected a number, 0 or more, got Infinity"),
        ("integrity", "epsilon = 'small'", 3, 'expected a number, 0 or more, got "small"'),
        ("suite", "suite = 'style'", 1, "expected one of at_least, delta, got none"),
        ("text", "outputs = 'o.jsonl'", 1, "expected one of schema, most_refusals, shortest, longest, exact, got none"),
        ("text", "outputs = 'o'\nshortest = 9\nlongest = 8", 4, "expected no more than longest = 8, got 9"),
        ("text", "outputs = 'o'\nexact = 1\nrefusals = []", 5, "expected a list of texts, none of them empty, got []"),
        (
            "text",
            "outputs = 'o'\nexact = 1\nrefusals = 'no'",
            5,
            'expected a list of texts, none of them empty, got "no"',
        ),
    ],
)
def test_a_fault_of_a_check_is_named_with_the_line_of_its_field_or_of_its_rule(kind, lines, line, message):
    [fault] = faults(f"[[rule]]\ncheck = '{kind}'\n{lines}\n")
    assert fault.startswith(f"gates.toml:{line}: {message}")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\nrules = 1", 2, 'unknown key "rules": expected one of rule; did you mean rule?'),
        ("#\n[rule]\ncheck = 'integrity'", 2, 'expected [[rule]] tables, got {"check": "integrity"}'),
        ("#\nrule = ['a']", 2, 'expected [[rule]] tables, got ["a"]'),
        ("#\n[[rule]]\nname = 'x'", 2, "expected the key check in this rule, one of bound, no-worse, "),
        ("[[rule]]\ncheck = 'no-wors'", 2, "expected one of bound, no-worse, slices, golden, others, routing, "),
        ("[[rule]]\ncheck = ['bound']", 2, "expected one of bound, no-worse, slices, golden, others, routing, "),
        (
            "[[rule]]\ncheck = 'integrity'\nname = 'x'\n[[rule]]\ncheck = 'integrity'\nname = 'x'",
            6,
            'expected names that differ, got "x" again',
        ),
        ("[[rule]]\ncheck = bound", 2, "expected TOML, got a fault: "),
    ],
)
def test_a_fault_of_the_whole_is_named_with_its_line(text, line, message):
    [fault] = faults(text)
    assert fault.startswith(f"gates.toml:{line}: {message}")


def test_a_check_that_is_misspelt_is_told_the_nearest():
    assert faults("[[rule]]\ncheck = 'no-wors'")[0].endswith(', got "no-wors"; did you mean no-worse?')


def test_all_faults_are_named_together_in_the_order_of_their_lines():
    text = "[[rule]]\ncheck = 'typos'\nrate = 2\nseed = 'x'\n[[rule]]\ncheck = 'golde'\n[[rule]]\ncheck = 'others'\n"
    assert [fault.split(": ")[0] for fault in faults(text)] == [f"gates.toml:{line}" for line in (1, 3, 4, 6, 7)]


PIECES = st.sampled_from(
    [*WHOLE.splitlines(), "[[rule]]", "[rule]", "for = []", "check = 'text'", "rate = nan", "\x00"]
)


@settings(max_examples=50, deadline=None)
@given(st.text() | st.lists(PIECES, max_size=12).map("\n".join))
def test_any_text_gives_rules_or_faults_with_lines(text):
    try:
        parse_gates(text)
    except ConfigError as error:
        for fault in str(error).split("\n"):
            found = re.match(r"gates\.toml:(\d+): (expected|unknown key)", fault)
            assert found and 1 <= int(found[1]) <= text.count("\n") + 1, fault


def test_a_check_made_in_python_tells_all_its_faults():
    with pytest.raises(ConfigError) as raised:
        TextCheck(outputs="", longest=0, refusals=())
    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == ["outputs", "refusals", "longest"]


# The file of a portfolio


def test_without_a_file_the_rules_are_those_that_hold_by_default(tmp_path):
    gates = GatesFile(tmp_path).current()
    assert gates == default_gates()
    assert [rule.check for rule in gates.rules] == [
        IntegrityCheck(head_alone=True),
        NoWorseCheck(delta=0.02, alpha=0.05),
        OthersCheck(delta=0.02, alpha=0.05),
    ]
    assert gates.digest == hashlib.sha256(DEFAULT_GATES.encode()).hexdigest()


def test_a_file_is_read_again_when_it_changes(tmp_path):
    gates, path = GatesFile(tmp_path), tmp_path / "gates.toml"
    path.write_bytes(WHOLE.encode())
    assert gates.current().rules == MEANING
    assert gates.current() is gates.current()
    assert gates.current().digest == hashlib.sha256(WHOLE.encode()).hexdigest()
    path.write_bytes(WHOLE.replace("0.9", "0.8").encode())
    assert gates.current().rules[0].check == BoundCheck(metric="accuracy", at_least=0.8)
    path.unlink()
    assert gates.current() == default_gates()


def test_the_digest_is_told_without_reading_the_rules(tmp_path):
    gates, path = GatesFile(tmp_path), tmp_path / "gates.toml"
    assert gates.digest() == default_gates().digest
    path.write_bytes(WHOLE.encode())
    assert gates.digest() == gates.current().digest
    path.write_bytes(b"no toml")
    assert gates.digest() == hashlib.sha256(b"no toml").hexdigest()


def test_an_empty_file_has_no_rules_and_not_those_that_hold_without_one(tmp_path):
    (tmp_path / "gates.toml").write_bytes(b"# none\n")
    assert GatesFile(tmp_path).current().rules == ()


def test_a_file_that_cannot_be_read_is_an_error_and_never_no_rules(tmp_path):
    path = tmp_path / "gates.toml"
    path.symlink_to(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="got a file that cannot be read"):
        GatesFile(tmp_path).current()
    path.unlink()
    path.write_bytes(b"[[rule]]\n# \xff")
    with pytest.raises(ConfigError, match="gates.toml:2: expected text in UTF-8"):
        GatesFile(tmp_path).current()
    path.write_bytes(b"rule = 3")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:1: expected [[rule]] tables, got 3")):
        GatesFile(tmp_path).current()


def test_a_mark_of_utf8_at_the_start_is_no_fault(tmp_path):
    (tmp_path / "gates.toml").write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())
    assert GatesFile(tmp_path).current().rules == MEANING


# The page docs/gates.md


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_file_on_the_page_is_sound_and_shows_every_check():
    shown = [rule for text in blocks("toml") for rule in parse_gates(text)]
    assert {rule.check.kind for rule in shown} == set(CHECKS)
    assert DEFAULT_GATES in blocks("toml")


@pytest.mark.parametrize("kind", CHECKS)
def test_every_field_of_a_check_stands_in_its_table_with_its_default(kind):
    section = PAGE.split(f"\n### `{kind}`")[1].split("\n### ")[0].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|[^|]*\|$", section, flags=re.MULTILINE))
    defaults = {field.name: field.default for field in dataclasses.fields(CHECKS[kind])}
    assert rows.keys() == defaults.keys()
    for name, written in rows.items():
        if isinstance(defaults[name], bool):
            assert written.strip() == str(defaults[name]).lower()
        elif isinstance(defaults[name], int | float):
            assert float(written) == defaults[name]
        else:
            needed = defaults[name] is dataclasses.MISSING
            assert written.strip() in (("needed",) if needed else ("", "see below"))


def test_every_phrase_of_a_refusal_stands_on_the_page():
    assert all(f"`{phrase}`" in PAGE for phrase in REFUSALS)


def test_the_message_on_the_page_is_what_a_reader_gets():
    shown = next(text for text in blocks("text") if text.startswith("gates.toml:"))
    assert "\n".join(faults("[[rule]]\ncheck = 'no-worse'\ndetla = 0.02")) + "\n" == shown
