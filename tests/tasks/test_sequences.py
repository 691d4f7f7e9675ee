"""A sequence of tasks in a TOML file."""

from __future__ import annotations

import pytest

from portfolio.errors import ConfigError, NotFound
from portfolio.tasks.columns import Columns
from portfolio.tasks.sequences import Sequence, TaskSpec, read_sequence

WHOLE = """\
name = "support"
seed = 7

[[task]]
name = "banking"
train = "${PORTFOLIO_DATA}/bank/train.jsonl"
validation = "/elsewhere/validation.jsonl"
test = "../test.jsonl"
filter = { domain = "banking" }
text_column = "question"
pair_column = ""
label_column = "intent"
method = "lora"

[[task]]
name = "travel"
train = "hub:owner/travel:small"
"""


def test_everything_that_can_be_said_is_read(write, tmp_path):
    sequence = read_sequence(write("support.toml", WHOLE), environment={"PORTFOLIO_DATA": "/data"})
    banking = TaskSpec(
        name="banking",
        train="/data/bank/train.jsonl",
        validation="/elsewhere/validation.jsonl",
        test=str(tmp_path.parent / "test.jsonl"),
        columns=Columns(text="question", pair="", label="intent"),
        where=(("domain", "banking"),),
        method="lora",
    )
    travel = TaskSpec(name="travel", train="hub:owner/travel:small")
    assert sequence == Sequence(name="support", seed=7, tasks=(banking, travel))


def test_a_sequence_without_name_or_seed_has_the_name_of_its_file_and_seed_0(write):
    sequence = read_sequence(write("little.toml", '[[task]]\nname = "a"\ntrain = "a.csv"\n'))
    assert (sequence.name, sequence.seed) == ("little", 0)


def test_variables_are_those_of_the_process_unless_others_are_given(write, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA", "/from/process")
    path = write("a.toml", '[[task]]\nname = "a"\ntrain = "${PORTFOLIO_DATA}/a.csv"\n')
    assert read_sequence(path).tasks[0].train == "/from/process/a.csv"


def test_a_relative_path_is_relative_to_the_file_wherever_one_stands(write, tmp_path, monkeypatch):
    path = write("a.toml", '[[task]]\nname = "a"\ntrain = "a.csv"\n')
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert read_sequence(f"../{path.name}").tasks[0].train == str(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "a"\n[[task]]\nname = "a"\ntrain = "b"', r"a\.toml:1: unknown key 'nam': expected one of name, seed"),
        ('[[task]]\nname = "a"\ntrain = "b"\n\nrank = 5', r"a\.toml:5: unknown key 'rank'"),
        (
            '[[task]]\nname = "a"\ntrain = "b"\n[[task]]\nname = "b"\ntrain = "b"\n"te st" = 5',
            r"a\.toml:7: unknown key 'te st'",
        ),
        ('[[task]]\nname = "a"', r"a\.toml:1: this task has no train"),
        ('[[task]]\ntrain = "a"', r"a\.toml:1: this task has no name"),
        ('[[task]]\nname = 5\ntrain = "b"', r"a\.toml:2: expected text, got 5"),
        ('[[task]]\nname = "a"\ntrain = ""', r"a\.toml:3: expected text, got ''"),
        ('[[task]]\nname = "../a"\ntrain = "b"', r"a\.toml:2: task name '\.\./a' is not allowed"),
        (
            '[[task]]\nname = "a"\ntrain = "b"\n[[task]]\nname = "a"\ntrain = "b"',
            r"a\.toml:5: expected names that differ, got 'a' again",
        ),
        ('[[task]]\nname = "a"\ntrain = "${NOWHERE}/b"', r"a\.toml:3: \$\{NOWHERE\} in .* is not set; set it with"),
        ('[[task]]\nname = "a"\ntrain = "b"\nfilter = "x"', r"a\.toml:4: expected \{ column = \"value\" \}, got 'x'"),
        ('[[task]]\nname = "a"\ntrain = "b"\nfilter = { x = 1 }', r"a\.toml:4: expected \{ column"),
        ('[[task]]\nname = "a"\ntrain = "b"\ntags = { x = 1 }', r"a\.toml:4: expected \{ tenant = "),
        ('[[task]]\nname = "a"\ntrain = "b"\ntags = { task = "c" }', r"a\.toml:4: tag 'task' is reserved"),
        ('seed = "x"\n[[task]]\nname = "a"\ntrain = "b"', r"a\.toml:1: expected a whole number, got 'x'"),
        ('seed = true\n[[task]]\nname = "a"\ntrain = "b"', r"a\.toml:1: expected a whole number, got True"),
        ('name = 1\n[[task]]\nname = "a"\ntrain = "b"', r"a\.toml:1: expected text, got 1"),
        ("", r"a\.toml: expected one \[\[task\]\] table or more, got \[\]"),
        ("task = 5", r"a\.toml: expected one \[\[task\]\] table or more, got 5"),
        ("task = [5]", r"a\.toml: expected one \[\[task\]\] table or more"),
        ('[[task]\nname = "a"', r"a\.toml: not TOML: .*line 1"),
        (b'name = "\xff"', r"cannot read .*a\.toml"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(write, text, message):
    with pytest.raises(ConfigError, match=message):
        read_sequence(write("a.toml", text), environment={})


def test_all_faults_of_a_file_are_told_together(write):
    path = write("a.toml", 'color = 1\n[[task]]\nname = "a b"\n[[task]]\nname = "c"\ntrain = 5\n')
    with pytest.raises(ConfigError) as caught:
        read_sequence(path)
    lines = [line.removeprefix(f"{path}:").split(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(lines) == ["1", "2", "3", "6"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"gone\.toml, which is not there"):
        read_sequence(tmp_path / "gone.toml")
