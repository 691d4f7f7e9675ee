"""A sequence of tasks in a TOML file."""

from __future__ import annotations

from dataclasses import replace

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
        ('[[task]]\nname = "a"\ntrain = ""', r"a\.toml:3: expected text or a list of texts, got ''"),
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
        ('[[task]]\nname = "a"\ntrain = []', r"a\.toml:3: expected text or a list of texts, got \[\]"),
        ('[[task]]\nname = "a"\ntrain = ["b", 5]', r"a\.toml:3: expected text or a list of texts, got \['b', 5\]"),
        (
            '[[task]]\nname = "a"\ntrain = "b"\ntext_column = ["x", "y"]',
            r"a\.toml:4: expected one column, or as many as train has places \(1\), got 2",
        ),
        ('[[task]]\nname = "a"\ntrain = "b"\nlabels = "x"', r"a\.toml:4: expected a list of two labels or more"),
        ('[[task]]\nname = "a"\ntrain = "b"\nlabels = ["x"]', r"a\.toml:4: expected a list of two labels or more"),
        ('[[task]]\nname = "a"\ntrain = "b"\nlabels = ["x", 2]', r"a\.toml:4: expected a list of two labels or more"),
        (
            '[[task]]\nname = "a"\ntrain = "b"\nlabels = ["x", "y", "x"]',
            r"a\.toml:4: expected labels that differ, got 'x' again",
        ),
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


ORDERED = """\
[orders]
there = ["a", "b"]
back = ["b", "a"]

[[task]]
name = "a"
train = "a.csv"

[[task]]
name = "b"
train = "b.csv"
"""


def test_the_tasks_of_a_sequence_can_be_put_into_each_order_it_names(write):
    sequence = read_sequence(write("a.toml", ORDERED))
    assert sequence.orders == (("there", ("a", "b")), ("back", ("b", "a")))
    assert sequence.in_order("there") == sequence
    back = sequence.in_order("back")
    assert back.tasks == sequence.tasks[::-1]
    assert back.orders == sequence.orders


def test_a_part_of_a_sequence_keeps_the_order_of_its_tasks(write):
    sequence = read_sequence(write("a.toml", ORDERED))
    assert replace(sequence, tasks=sequence.tasks[:1]).in_order("back").tasks == sequence.tasks[:1]


def test_an_order_that_is_not_there_is_answered_with_those_that_are(write):
    with pytest.raises(NotFound, match="'a' has no order 'up'; its orders: there, back"):
        read_sequence(write("a.toml", ORDERED)).in_order("up")
    with pytest.raises(NotFound, match=r"'b' has no order 'up'; its orders: none; name some in a table \[orders\]"):
        read_sequence(write("b.toml", ORDERED.partition("[[task]]")[2].join(["[[task]]", ""]))).in_order("up")


@pytest.mark.parametrize(
    ("back", "message"),
    [
        ('["b"]', "the order back has no 'a'"),
        ('["b", "a", "b"]', "the order back names twice 'b'"),
        ('["b", "c", "a", "c"]', "the order back names what is no task: 'c'"),
        ('"b, a"', "expected a list of task names, got 'b, a'"),
        ('["b", 5]', "expected a list of task names"),
    ],
)
@pytest.mark.parametrize("at_the_end", [False, True])
def test_an_order_that_is_not_every_task_once_is_named_with_its_line(write, back, message, at_the_end):
    text = ORDERED.replace('["b", "a"]', back)
    if at_the_end:
        orders, tasks = text.split("\n\n", 1)
        text = f"{tasks}{orders}\n"
    line = text.splitlines().index(f"back = {back}") + 1
    with pytest.raises(ConfigError, match=rf"a\.toml:{line}: .*{message}"):
        read_sequence(write("a.toml", text))


@pytest.mark.parametrize("orders", ["orders = { back = [] }", "orders.back = []", "orders = 5"])
def test_orders_on_one_line_are_named_with_that_line(write, orders):
    with pytest.raises(ConfigError, match=r"a\.toml:3: expected "):
        read_sequence(write("a.toml", f'name = "x"\n\n{orders}\n[[task]]\nname = "a"\ntrain = "b"\n'))


CHOICES = """\
[[task]]
name = "a"
train = ["${ONE}/${TWO}/train.csv", "${THREE}/train.csv", "hub:owner/a"]
test = ["${THREE}/test.csv", "test.csv"]
text_column = "body"
label_column = ["label", "topic", "intent"]
"""


@pytest.mark.parametrize(
    ("environment", "train", "test", "label"),
    [
        ({"ONE": "/1", "TWO": "2", "THREE": "/3"}, "/1/2/train.csv", "/3/test.csv", "label"),
        ({"ONE": "/1", "THREE": "/3"}, "/3/train.csv", "/3/test.csv", "topic"),
        ({"ONE": "/1", "TWO": "2"}, "/1/2/train.csv", "{here}/test.csv", "label"),
        ({"ONE": "/1", "TWO": "", "THREE": ""}, "hub:owner/a", "{here}/test.csv", "intent"),
    ],
)
def test_the_first_place_whose_variables_are_all_set_is_taken(write, tmp_path, environment, train, test, label):
    [task] = read_sequence(write("a.toml", CHOICES), environment=environment).tasks
    assert (task.train, task.test, task.validation) == (train, test.format(here=tmp_path), None)
    assert task.columns == Columns(text="body", label=label)


def test_where_no_place_can_be_taken_the_variables_and_the_remedy_are_named(write):
    path = write("a.toml", CHOICES.replace(', "hub:owner/a"', "").replace(', "intent"', ""))
    with pytest.raises(ConfigError) as caught:
        read_sequence(path, environment={"ONE": "/1"})
    assert str(caught.value) == (
        f"{path}:3: ${{TWO}} in '${{ONE}}/${{TWO}}/train.csv' or ${{THREE}} in '${{THREE}}/train.csv' is not set; "
        "set it with: export TWO=DIRECTORY or export THREE=DIRECTORY"
    )


def test_labels_are_read_as_they_stand(write):
    text = '[[task]]\nname = "a"\ntrain = "b"\nlabels = [\n  "yes",\n  "no",\n]\n'
    assert read_sequence(write("a.toml", text)).tasks[0].labels == ("yes", "no")


def test_all_faults_of_a_file_are_told_together(write):
    path = write("a.toml", 'color = 1\n[[task]]\nname = "a b"\n[[task]]\nname = "c"\ntrain = 5\n')
    with pytest.raises(ConfigError) as caught:
        read_sequence(path)
    lines = [line.removeprefix(f"{path}:").split(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(lines) == ["1", "2", "3", "6"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"gone\.toml, which is not there"):
        read_sequence(tmp_path / "gone.toml")
