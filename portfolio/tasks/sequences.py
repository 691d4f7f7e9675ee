"""A sequence of tasks in a TOML file.

name = "support"
seed = 0                                    # optional

[[task]]
name = "banking"
train = "${PORTFOLIO_DATA}/train.jsonl"     # relative paths: relative to this file
test = "test.jsonl"                         # optional, as is `validation`
filter = { domain = "banking" }             # optional: only rows with this value
text_column = "text"                        # optional, as are `pair_column`, `label_column`
method = "lora"                             # optional
tags = { tenant = "acme", risk = "high" }   # optional: what routes.toml decides by
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portfolio.errors import ConfigError, InvalidName, NotFound
from portfolio.refs import check_name, check_tag
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.faults import shown
from portfolio.tasks.locations import HUB

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("name", "seed", "task")
_TASK_TEXTS = ("name", "train", "validation", "test", "text_column", "pair_column", "label_column", "method")
_TASK_KEYS = (*_TASK_TEXTS, "filter", "tags")
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
    method: str | None = None  # None for the default
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Tasks in the order in which they are to be added."""

    name: str
    seed: int
    tasks: tuple[TaskSpec, ...]


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
        self._lines = text.splitlines()
        self._environment = environment
        self._faults: list[str] = []

    def sequence(self, document: Mapping[str, Any]) -> Sequence:
        self._check_keys(document, _KEYS, None)
        name = document.get("name", self._path.stem)
        if not isinstance(name, str):
            self._fault("name", None, f"expected text, got {shown(name)}")
        seed = document.get("seed", 0)
        if type(seed) is not int:
            self._fault("seed", None, f"expected a whole number, got {shown(seed)}")
        tables = document.get("task", [])
        if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
            self._faults.append(f"{self._path}: expected one [[task]] table or more, got {shown(tables)}")
            tables = []
        specs = [self._spec(table, index) for index, table in enumerate(tables)]
        self._check_names([spec.name for spec in specs])
        if self._faults:
            raise ConfigError("\n".join(self._faults))
        return Sequence(name=name, seed=seed, tasks=tuple(specs))

    def _spec(self, table: Mapping[str, Any], index: int) -> TaskSpec:
        self._check_keys(table, _TASK_KEYS, index)
        texts: dict[str, str] = {}
        for key in _TASK_TEXTS:
            value = table.get(key, "")
            if not isinstance(value, str) or (not value and key in table and key != "pair_column"):
                self._fault(key, index, f"expected text, got {shown(value)}")
            elif key in table:
                texts[key] = value
        for key in ("name", "train"):
            if key not in table:
                self._fault("[[task]]", index, f"this task has no {key}")
        return TaskSpec(
            name=texts.get("name", ""),
            train=self._location(texts, "train", index) or "",
            validation=self._location(texts, "validation", index),
            test=self._location(texts, "test", index),
            columns=Columns(
                text=texts.get("text_column"), pair=texts.get("pair_column"), label=texts.get("label_column")
            ),
            where=self._texts_by_key(table, "filter", "column", index),
            method=texts.get("method"),
            tags=self._tags(table, index),
        )

    def _texts_by_key(
        self, table: Mapping[str, Any], key: str, example: str, index: int
    ) -> tuple[tuple[str, str], ...]:
        value = table.get(key, {})
        if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            return tuple(value.items())
        self._fault(key, index, f'expected {{ {example} = "value" }}, got {shown(value)}')
        return ()

    def _tags(self, table: Mapping[str, Any], index: int) -> tuple[tuple[str, str], ...]:
        tags = self._texts_by_key(table, "tags", "tenant", index)
        for key, value in tags:
            try:
                check_tag(key, value)
            except InvalidName as error:
                self._fault("tags", index, str(error))
        return tags

    def _location(self, texts: Mapping[str, str], key: str, index: int) -> str | None:
        """The path with its variables filled in, made absolute."""
        if key not in texts:
            return None
        for variable in _VARIABLE.findall(texts[key]):
            if variable not in self._environment:
                fault = f"${{{variable}}} in {shown(texts[key])} is not set; set it with: export {variable}=DIRECTORY"
                self._fault(key, index, fault)
        filled = _VARIABLE.sub(lambda match: self._environment.get(match[1], ""), texts[key])
        return filled if filled.startswith(HUB) else os.path.abspath(self._path.parent / filled)

    def _check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], index: int | None) -> None:
        for key in table:
            if key not in known:
                self._fault(key, index, f"unknown key {shown(key)}: expected one of {', '.join(known)}")

    def _check_names(self, names: list[str]) -> None:
        for index, name in enumerate(names):
            if not name:
                continue  # a fault already
            try:
                check_name(name, "task name")
            except InvalidName as error:
                self._fault("name", index, str(error))
            if name in names[:index]:
                self._fault("name", index, f"expected names that differ, got {shown(name)} again")

    def _fault(self, key: str, index: int | None, fault: str) -> None:
        line = self._line_of(key, index)
        self._faults.append(f"{self._path}:{line}: {fault}" if line else f"{self._path}: {fault}")

    def _line_of(self, key: str, index: int | None) -> int | None:
        """The line of a key in the task of that index (None: before all tasks); that of its header failing that."""
        assignment = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        task, header = -1, None
        for number, line in enumerate(self._lines, start=1):
            if re.match(r"\s*\[\[\s*task\s*\]\]", line):
                task += 1
                header = number if task == index else header
            elif assignment.match(line) and task == (-1 if index is None else index):
                return number
        return header
