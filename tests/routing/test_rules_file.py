"""The text of `routes.toml`, and the line of every fault in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rules import (
    NO_RULES,
    Allow,
    Candidate,
    Condition,
    Deny,
    Pin,
    Request,
    RiskList,
    Rule,
    Rules,
)
from routing.rules_file import RulesError, parse_rules

PAGE = (Path(__file__).parents[2] / "docs" / "routes.md").read_text(encoding="utf-8")
NOBODY, REFUSED = "nobody", "refused"

WHOLE = """\
[[rule]]
name = "acme stays with acme"
when = { tenant = "acme" }
allow = { tenant = ["acme", "shared"] }

[[rule]]
when = { channel = ["mail", "web"], vip = "*" }
deny = ["refunds", "claims"]

[risk.high]
allow = ["claims"]

[[rule]]
pin = "refunds"

[risk.low]
allow = { task = "*" }
"""
MEANING = Rules(
    rules=(
        Rule(
            name="acme stays with acme",
            when=(Condition(key="tenant", values=("acme",)),),
            action=Allow(conditions=(Condition(key="tenant", values=("acme", "shared")),)),
        ),
        Rule(
            name="rule 2",
            when=(Condition(key="channel", values=("mail", "web")), Condition(key="vip", values=("*",))),
            action=Deny(conditions=(Condition(key="task", values=("refunds", "claims")),)),
        ),
        Rule(name="rule 3", action=Pin(task="refunds")),
    ),
    risks=(
        RiskList(risk="high", conditions=(Condition(key="task", values=("claims",)),)),
        RiskList(risk="low", conditions=(Condition(key="task", values=("*",)),)),
    ),
)
OTHERWISE = """\
risk.high.allow = ["claims"]
risk.low = { allow = { task = ["*"] } }
[["rule"]]
"name" = 'acme stays with acme'
when.tenant = "acme"
[rule.allow]
tenant = [
    "acme", # ] and more
    "shared",
]
[[ rule ]]
deny = ["refunds", "claims"]
[rule.when]
channel = ["mail", "web"]
vip = "*"
[[rule]]
pin = "refunds"
"""
INLINE = """\
rule = [
  { name = "acme stays with acme", when = { tenant = "acme" }, allow = { tenant = ["acme", "shared"] } },
  { when = { channel = ["mail", "web"], vip = "*" }, deny = ["refunds", "claims"] }, { pin = "refunds" },
]
risk = { high = { allow = ["claims"] }, low = { allow.task = "*" } }
"""


def faults(text: str) -> list[str]:
    with pytest.raises(RulesError) as raised:
        parse_rules(text)
    return str(raised.value).splitlines()


@pytest.mark.parametrize("text", [WHOLE, OTHERWISE, INLINE, WHOLE.replace("\n", "\r\n")])
def test_all_ways_to_write_the_same_rules_mean_the_same(text):
    assert parse_rules(text) == MEANING


def test_a_file_of_comments_has_no_rules():
    assert parse_rules("# nothing yet\n\n") == NO_RULES


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alow = ['a']", 'unknown key "alow": expected one of name, when, allow, deny, pin; did you mean allow?'),
        ("name = 7", "expected one line of text, got 7"),
        ("name = ''", 'expected one line of text, got ""'),
        (r'name = "two\nlines"', r'expected one line of text, got "two\nlines"'),
        ("when = 'acme'", 'expected a table of tags, such as { tenant = "acme" }, got "acme"'),
        ("when = {}", 'expected a table of tags, such as { tenant = "acme" }, got {}'),
        ("when = { vip = true }", "expected text or a list of texts, none of them empty, got true"),
        ("when.vip = ['yes', 1]", 'expected text or a list of texts, none of them empty, got ["yes", 1]'),
        ("when.vip = []", "expected text or a list of texts, none of them empty, got []"),
        ("when.vip = ''", 'expected text or a list of texts, none of them empty, got ""'),
        ("when.vip = { a = 'b' }", 'expected text or a list of texts, none of them empty, got {"a": "b"}'),
        ("deny = ['a']", "expected one of allow, deny, pin, got deny beside pin; make it two rules"),
    ],
)
def test_a_fault_in_a_rule_is_named_with_its_line(line, message):
    text = f"# first\n[[rule]]\npin = 'a'\n[[rule]]\npin = 'a'\n{line}\n[[rule]]\npin = 'a'\n"
    assert faults(text) == [f"routes.toml:6: {message}"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("allow = []", "expected text or a list of texts, none of them empty, got []"),
        ("allow = [3]", "expected text or a list of texts, none of them empty, got [3]"),
        ("deny = {}", 'expected a table of tags, such as { tenant = "acme" }, got {}'),
        ("deny = { tenant = [] }", "expected text or a list of texts, none of them empty, got []"),
        ("deny = { name = 'a' }", "expected the name of a task under the key task, got the key name"),
        ("allow = 'a'", 'expected a list of task names or a table of tags, got "a"'),
        ("pin = ['a']", 'expected the name of one task, got ["a"]'),
        ("pin = '*'", 'expected the name of one task, got "*"'),
        ("pin = ''", 'expected the name of one task, got ""'),
        ("pin = 2020-01-31", 'expected the name of one task, got "2020-01-31"'),
    ],
)
def test_a_fault_in_an_action_is_named_with_its_line(action, message):
    assert faults(f"[[rule]]\nwhen.vip = 'yes'\n{action}\n") == [f"routes.toml:3: {message}"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\nrules = 1", 2, 'unknown key "rules": expected one of rule, risk; did you mean rule?'),
        ("#\n[rule]\npin = 'a'", 2, 'expected [[rule]] tables, got {"pin": "a"}'),
        ("#\n[rule.a]\n[rule.b]", 2, 'expected [[rule]] tables, got {"a": {}, "b": {}}'),
        ("#\nrule = []", 2, "expected [[rule]] tables, got []"),
        ("#\nrule = ['a']", 2, 'expected [[rule]] tables, got ["a"]'),
        ("#\n[[rule]]\nwhen.a = 'b'", 2, "expected one of allow, deny, pin in this rule, got none"),
        ("#\n[risk]\n", 2, "expected a table for each risk class, such as [risk.high], got {}"),
        ("#\nrisk = 'high'", 2, 'expected a table for each risk class, such as [risk.high], got "high"'),
        ("[risk]\nhigh = ['a']", 2, 'expected a table with the key allow, got ["a"]'),
        ("#\n[risk.high]", 2, 'expected the key allow for the risk class "high", got none'),
        ("#\n[risk.high]\nallow = ['a']\ndeny = ['b']", 4, 'unknown key "deny": expected one of allow'),
        ("#\n[risk.'*']\nallow = ['a']", 2, 'expected the name of a risk class, got "*"'),
        (
            "[[rule]]\npin = 'a'\n[risk.rule]\nallow = []",
            4,
            "expected text or a list of texts, none of them empty, got []",
        ),
        (
            "[[rule]]\nname = 'x'\npin = 'a'\n[[rule]]\nname = 'x'\npin = 'a'",
            5,
            'expected names that differ, got "x" again',
        ),
        (
            "[[rule]]\nname = 'rule 2'\npin = 'a'\n[[rule]]\npin = 'a'",
            4,
            'expected names that differ, got "rule 2" again',
        ),
        (
            "[risk.a]\nallow = ['a']\n[[rule]]\nname = 'risk a'\npin = 'a'",
            4,
            'expected names that differ, got "risk a" again',
        ),
    ],
)
def test_a_fault_of_the_whole_is_named_with_its_line(text, line, message):
    assert faults(text) == [f"routes.toml:{line}: {message}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("risk.high.allow = ['a']\nrisk.low.allow = []", 2),  # dotted keys
        ("[risk]\nhigh.allow = ['a']\n\nlow.alow = ['a']\nlow.allow = ['a']", 4),
        ("[[rule]]\npin = 'a'\n[[rule]]\npin = 'b'\n[rule.when]\nvip = 'x'\nold = 3", 7),  # a table of the second rule
        ("[[rule]]\npin = 'a'\nwhen.vip = [\n  'x', # ]\n  3,\n]\n", 3),  # where the key of a long list stands
        ("[[rule]]\npin = 'a'\n#\nwhen = { vip = 'x', old = 3 } # [[rule]]", 4),  # an inline table
        ('[[rule]]\nname = """[[rule]]\n[[rule]]"""\npin = "a"', 2),  # text that looks like headers
        ("[[rule]]\npin = 'a'\n'when' = { vip = ''''\n[[rule]]\n]\n''' }\n\"wen\" = 2", 7),
        ("rule = [\n { pin = 'a' },\n { pim = 'b', pin = 'b' },\n]", 1),  # the key, for tables inside a list
        ("[[rule]]\npin = 'a'\n[[rule.when]]\nvip = 'x'", 3),
        ("[[rule]]\npin = 'a'\nwhen.x = 'b\u2028\u0085'\nwhen.vip = 3", 4),  # no line ends there
    ],
)
def test_the_line_is_found_however_toml_is_written(text, line):
    assert [fault.split(":")[1] for fault in faults(text)] == [str(line)]
    assert faults(text.replace("\n", "\r\n"))[0].split(":")[1] == str(line)


FILLING = st.sampled_from(
    [
        "",
        "# pin = 'a' [[rule]]",
        "[[rule]]\npin = 'a'",
        "[[rule]]\npin = 'a'\nwhen = { vip = ['x', 'y'] }",
        "[[rule]]\nallow = [\n  'a', # '''\n  'b[[rule]]',\n]",
        "[[rule]]\nallow.tenant = '''\nno = 1\n'''\n[rule.when]\nvip = \"\"\"\n[[rule]]\n\"\"\"",
    ]
)


@settings(max_examples=50)
@given(before=st.lists(FILLING, max_size=5), after=st.lists(FILLING, max_size=3), end=st.sampled_from(["\n", "\r\n"]))
def test_the_line_is_found_whatever_stands_around_it(before, after, end):
    lines = "\n".join([*before, "[[rule]]", "pin = 'a'", "wen = {}", *after]).split("\n")
    [fault] = faults(end.join(lines))
    assert fault.startswith(f'routes.toml:{lines.index("wen = {}") + 1}: unknown key "wen"')


def test_all_faults_are_named_together_in_the_order_of_their_lines():
    found = faults("[[rule]]\npin = 1\nnme = 'x'\n[risk.high]\n[[rule]]\nallow = []\n")
    assert [fault[: fault.index(": ")] for fault in found] == [f"routes.toml:{line}" for line in (2, 3, 4, 6)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[rule]]\npin = refunds\n", 2),
        ("[[rule]]\npin = 'a'\n\npin = 'b'\n[[rule]]", 4),
        ("[[rule]]\nallow = [\n  'a',\n\n", 3),
        ("a = " + "[" * 100_000, 1),
    ],
)
def test_text_that_is_no_toml_is_refused_with_the_line(text, line):
    [fault] = faults(text)
    assert fault.startswith(f"routes.toml:{line}: expected TOML, got a fault: ")
    assert "line" not in fault.removeprefix("routes.toml")


def test_messages_name_the_file_as_it_was_called_and_quote_no_more_than_a_line():
    with pytest.raises(RulesError) as raised:
        parse_rules(f"pin = '{'x' * 5000}'\nrule = '{'x' * 5000}'", source="/data/mine/routes.toml")
    assert all(line.startswith("/data/mine/routes.toml:") for line in str(raised.value).splitlines())
    assert max(map(len, str(raised.value).splitlines())) < 150


@pytest.mark.timeout(15)  # 0.1 s; trying after each line whether the list ends takes half a minute
def test_a_fault_after_a_long_list_is_found_without_delay():
    names = ",\n".join(f"'task-{number}'" for number in range(5000))
    assert faults(f"[[rule]]\nallow = [\n{names}\n]\nwen = 1")[0].startswith("routes.toml:5004: ")


PIECES = st.sampled_from(
    [*WHOLE.splitlines(), "[[", "]", "=", "{", "'", '"""', "rule", "allow = []", "[risk]", "\x00", "\n"]
)


@settings(max_examples=50)
@given(st.text() | st.lists(PIECES, max_size=12).map("\n".join))
def test_any_text_gives_rules_or_faults_with_lines(text):
    try:
        parse_rules(text)
    except RulesError as error:
        count = text.count("\n") + 1
        for fault in str(error).split("\n"):
            if found := re.match(r"routes\.toml:(\d+): expected|routes\.toml:(\d+): unknown key", fault):
                assert 1 <= int(found[1] or found[2]) <= count
            else:
                raise AssertionError(fault) from error


# --- The page docs/routes.md ---


def tags_of(cell: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in cell.split(", ") if pair)


def rows_below(header: str, text: str) -> list[list[str]]:
    """The cells of the first table with that header."""
    lines = text[text.index(header) :].splitlines()[2:]
    until = next((index for index, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:until]]


def test_every_file_on_the_page_is_sound():
    files = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(files) == 4
    for text in files:
        assert parse_rules(text) != NO_RULES


def test_every_row_of_the_examples_on_the_page_is_true():
    tasks = [Candidate(name=name, tags=tags_of(cell)) for name, cell in rows_below("| task | tags |", PAGE)]
    examples = PAGE.split("\n### ")[1:]
    assert (len(tasks), len(examples)) == (6, 3)
    for example in examples:
        rules = parse_rules(re.findall(r"```toml\n(.*?)```", example, flags=re.DOTALL)[0])
        for tenant, tags, left, decided in rows_below("| tenant | tags | tasks left | decided by |", example):
            request = Request(tenant=tenant or None, tags=tags_of(tags))
            if left == REFUSED:
                with pytest.raises(ValueError, match="risk class"):
                    rules.permit(request, tasks)
                continue
            permit = rules.permit(request, tasks)
            assert (", ".join(permit.allowed) or NOBODY, ", ".join(permit.rules)) == (left, decided)


def test_the_message_on_the_page_is_what_a_reader_gets():
    [shown] = re.findall(r"```text\n(.*?)\n```", PAGE, flags=re.DOTALL)
    assert faults("[[rule]]\npin = 'refunds'\ntenants = 'acme'") == [shown]
