"""A sequence of tasks in a TOML file.

name = "support"
seed = 0                                    # optional: of the rows held out

[orders]                                    # optional: other orders of all tasks, by name
backwards = ["travel", "banking"]

[[task]]
name = "banking"
train = "${PORTFOLIO_DATA}/train.jsonl"     # relative paths: relative to this file
test = "test.jsonl"                         # optional, as is `validation`
filter = { domain = "banking" }             # optional: only rows with this value
labels = ["balance", "transfer"]            # optional: only rows with one of these labels
text_column = "text"                        # optional, as are `pair_column`, `label_column`
method = "lora"                             # optional
tags = { tenant = "acme", risk = "high" }   # optional: what routes.toml decides by

[[task]]
name = "travel"
train = ["${PORTFOLIO_DATA}/trips.jsonl", "hub:owner/trips"]  # the first place whose variables are all set
label_column = ["label", "topic"]           # one for each place of `train`
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portfolio.errors import ConfigError, InvalidName, NotFound
from portfolio.refs import check_name, check_tag
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.faults import listed, shown
from portfolio.tasks.locations import HUB
from portfolio.tasks.sequence_faults import ORDERS, SequenceFaults

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("name", "seed", "orders", "task")
_TEXTS = ("name", "method")
_PLACES = ("train", "validation", "test")
_COLUMNS = ("text_column", "pair_column", "label_column")
_TASK_KEYS = ("name", *_PLACES, *_COLUMNS, "method", "filter", "labels", "tags")
_VARIABLE = re.compile(r"\$\{(\w*)\}")


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What to read for a task, and how to learn it."""

    name: str
    train: str  # absolute path, or `hub:NAME[:CONFIG]`
    validation: str | None = None
    test: str | None = None
    columns: Columns = GUESS
    where: tuple[tuple[str, str], ...] = ()  # only rows whose column has this value
    labels: tuple[str, ...] = ()  # only rows with one of these; none for all
    method: str | None = None  # None for the default
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Tasks in the order in which they are to be added."""

    name: str
    seed: int  # of the rows held out
    tasks: tuple[TaskSpec, ...]
    orders: tuple[tuple[str, tuple[str, ...]], ...] = ()  # other orders by name, each of all tasks

    def in_order(self, name: str) -> Sequence:
        """The same tasks in the order of that name.

        Raises:
            NotFound: there is no such order.
        """
        orders = dict(self.orders)
        if name not in orders:
            there = ", ".join(orders) or "none; name some in a table [orders]"
            raise NotFound(f"the sequence {self.name!r} has no order {name!r}; its orders: {there}")
        return replace(self, tasks=tuple(sorted(self.tasks, key=lambda task: orders[name].index(task.name))))


def read_sequence(path: str | Path, *, environment: Mapping[str, str] | None = None) -> Sequence:
    """The sequence in a TOML file.

    Args:
        environment: the variables that `${NAME}` in a path may name; None for those of the process.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is no TOML, or something in it cannot be; all faults are named together.
    """
    path = Path(path)
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return _Reader(path, text, os.environ if environment is None else environment).sequence(document)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"expected a sequence of tasks, got {path}, which is not there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


class _Reader:
    """Reads one document and collects its faults."""

    def __init__(self, path: Path, text: str, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = environment
        self._faults = SequenceFaults(path, text)

    def sequence(self, document: Mapping[str, Any]) -> Sequence:
        self._check_keys(document, _KEYS, None)
        name = document.get("name", self._path.stem)
        if not isinstance(name, str):
            self._faults.add("name", None, f"expected text, got {shown(name)}")
        seed = document.get("seed", 0)
        if type(seed) is not int:
            self._faults.add("seed", None, f"expected a whole number, got {shown(seed)}")
        tables = document.get("task", [])
        if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
            self._faults.add("[[task]]", None, f"expected one [[task]] table or more, got {shown(tables)}")
            tables = []
        specs = [self._spec(table, index) for index, table in enumerate(tables)]
        self._check_names([spec.name for spec in specs])
        orders = self._orders(document.get("orders", {}), [spec.name for spec in specs if spec.name])
        self._faults.raise_if_any()
        return Sequence(name=name, seed=seed, tasks=tuple(specs), orders=orders)

    def _spec(self, table: Mapping[str, Any], index: int) -> TaskSpec:
        self._check_keys(table, _TASK_KEYS, index)
        texts: dict[str, str] = {}
        for key in _TEXTS:
            value = table.get(key, "")
            if not isinstance(value, str) or (not value and key in table):
                self._faults.add(key, index, f"expected text, got {shown(value)}")
            elif key in table:
                texts[key] = value
        for key in ("name", "train"):
            if key not in table:
                self._faults.add("[[task]]", index, f"this task has no {key}")
        train, validation, test = (self._choices(table, key, index) for key in _PLACES)
        chosen = self._chosen(train, "train", index)
        text, pair, label = (self._column(table, key, chosen, len(train), index) for key in _COLUMNS)
        return TaskSpec(
            name=texts.get("name", ""),
            train=self._location(train, chosen) or "",
            validation=self._location(validation, self._chosen(validation, "validation", index)),
            test=self._location(test, self._chosen(test, "test", index)),
            columns=Columns(text=text, pair=pair, label=label),
            where=self._texts_by_key(table, "filter", "column", index),
            labels=self._labels(table, index),
            method=texts.get("method"),
            tags=self._tags(table, index),
        )

    def _choices(self, table: Mapping[str, Any], key: str, index: int) -> tuple[str, ...]:
        """What a key holds: one text, or a list of them to choose from; nothing where it is missing or wrong."""
        if key not in table:
            return ()
        value = table[key]
        choices = value if isinstance(value, list) else [value]
        if choices and all(isinstance(text, str) and (text or key == "pair_column") for text in choices):
            return tuple(choices)
        self._faults.add(key, index, f"expected text or a list of texts, got {shown(value)}")
        return ()

    def _chosen(self, places: tuple[str, ...], key: str, index: int) -> int:
        """The number of the first place whose variables are all set; 0 where there is none."""
        unset = [self._unset(place) for place in places]
        for number, names in enumerate(unset):
            if not names:
                return number
        if places:
            missing = " or ".join(
                f"{' and '.join(f'${{{name}}}' for name in names)} in {shown(place)}"
                for place, names in zip(places, unset, strict=True)
            )
            exports = " or ".join("export " + " ".join(f"{name}=DIRECTORY" for name in names) for names in unset)
            self._faults.add(key, index, f"{missing} is not set; set it with: {exports}")
        return 0

    def _unset(self, place: str) -> list[str]:
        """The variables of a place that are not set, or empty."""
        return [name for name in dict.fromkeys(_VARIABLE.findall(place)) if not self._environment.get(name)]

    def _location(self, places: tuple[str, ...], chosen: int) -> str | None:
        """The chosen place with its variables filled in, made absolute; None where there is none."""
        if not places:
            return None
        filled = _VARIABLE.sub(lambda match: self._environment.get(match[1], ""), places[chosen])
        return filled if filled.startswith(HUB) else os.path.abspath(self._path.parent / filled)

    def _column(self, table: Mapping[str, Any], key: str, chosen: int, places: int, index: int) -> str | None:
        """The column named for all places of train, or in a list for the chosen one."""
        columns = self._choices(table, key, index)
        if len(columns) <= 1:
            return columns[0] if columns else None
        if len(columns) == places:
            return columns[chosen]
        self._faults.add(
            key, index, f"expected one column, or as many as train has places ({places}), got {len(columns)}"
        )
        return None

    def _labels(self, table: Mapping[str, Any], index: int) -> tuple[str, ...]:
        if "labels" not in table:
            return ()
        value = table["labels"]
        if not (isinstance(value, list) and len(value) > 1 and all(isinstance(label, str) for label in value)):
            self._faults.add("labels", index, f"expected a list of two labels or more, each a text, got {shown(value)}")
            return ()
        for label in _doubled(value):
            self._faults.add("labels", index, f"expected labels that differ, got {shown(label)} again")
        return tuple(value)

    def _texts_by_key(
        self, table: Mapping[str, Any], key: str, example: str, index: int
    ) -> tuple[tuple[str, str], ...]:
        value = table.get(key, {})
        if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            return tuple(value.items())
        self._faults.add(key, index, f'expected {{ {example} = "value" }}, got {shown(value)}')
        return ()

    def _tags(self, table: Mapping[str, Any], index: int) -> tuple[tuple[str, str], ...]:
        tags = self._texts_by_key(table, "tags", "tenant", index)
        for key, value in tags:
            try:
                check_tag(key, value)
            except InvalidName as error:
                self._faults.add("tags", index, str(error))
        return tags

    def _orders(self, table: Any, tasks: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        if not isinstance(table, dict):
            self._faults.add(ORDERS, None, f"expected a table of lists of task names, got {shown(table)}")
            return ()
        return tuple((name, self._order(name, order, tasks)) for name, order in table.items())

    def _order(self, name: str, order: Any, tasks: list[str]) -> tuple[str, ...]:
        """The names of all tasks, each once."""
        if not (isinstance(order, list) and all(isinstance(task, str) for task in order)):
            self._faults.add(name, ORDERS, f"expected a list of task names, got {shown(order)}")
            return ()
        faults = {
            "has no": [task for task in tasks if task not in order],
            "names twice": _doubled(order),
            "names what is no task:": [task for task in dict.fromkeys(order) if task not in tasks],
        }
        for what, names in faults.items():
            if names:
                self._faults.add(name, ORDERS, f"expected every task once, but the order {name} {what} {listed(names)}")
        return tuple(order)

    def _check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], index: int | None) -> None:
        for key in table:
            if key not in known:
                self._faults.add(key, index, f"unknown key {shown(key)}: expected one of {', '.join(known)}")

    def _check_names(self, names: list[str]) -> None:
        for index, name in enumerate(names):
            if not name:
                continue  # a fault already
            try:
                check_name(name, "task name")
            except InvalidName as error:
                self._faults.add("name", index, str(error))
            if name in names[:index]:
                self._faults.add("name", index, f"expected names that differ, got {shown(name)} again")


def _doubled(names: list[str]) -> list[str]:
    """Those that stand there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
