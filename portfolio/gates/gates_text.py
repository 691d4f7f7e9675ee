"""The text of a `gates.toml`.

    [[rule]]
    check = "no-worse"                        # one of CHECKS
    name = "as good as what answers now"      # optional; the check's name
    for = { kind = "product", risk = ["high", "medium"] }  # optional; the tasks it holds for: tags, and `task`, the name
    delta = 0.02                              # the fields of that check

Every fault is found, and named with its line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from portfolio.errors import ConfigError
from portfolio.gates.fields import CheckFaults
from portfolio.gates.rules import CHECKS, Check, Rule
from routing.toml_lines import TomlPath, read_toml, shown
from routing.toml_tables import TableReader, nearest

_OF_A_RULE = ("check", "name", "for")


def parse_gates(text: str, source: str = "gates.toml") -> tuple[Rule, ...]:
    """The rules in the text of a file.

    Args:
        source: what to call the file in messages.

    Raises:
        ConfigError: it is no TOML, or something in it cannot be; all faults are named together.
    """
    try:
        document = read_toml(text, source)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    reader = _Reader()
    rules = reader.rules(document)
    reader.raise_faults(text, source, ConfigError)
    return rules


class _Reader(TableReader):
    """Reads one document."""

    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()

    def rules(self, document: Mapping[str, Any]) -> tuple[Rule, ...]:
        self.check_keys(document, ("rule",), ())
        tables = document.get("rule", [])
        if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
            self.fault(("rule",), f"expected [[rule]] tables, got {shown(tables)}")
            return ()
        self._names = {str(table["name"]) for table in tables if "name" in table}
        self._check_names(tables)
        rules = [self._rule(table, ("rule", index)) for index, table in enumerate(tables)]
        return tuple(rule for rule in rules if rule is not None)

    def _check_names(self, tables: list[Mapping[str, Any]]) -> None:
        taken: set[str] = set()
        for index, table in enumerate(tables):
            if "name" not in table:
                continue
            name, path = table["name"], ("rule", index, "name")
            if not (isinstance(name, str) and name.strip() and name.isprintable()):
                self.fault(path, f"expected one line of text, got {shown(name)}")
            elif name in taken:
                self.fault(path, f"expected names that differ, got {shown(name)} again")
            taken.add(str(name))

    def _rule(self, table: Mapping[str, Any], path: TomlPath) -> Rule | None:
        """None where something is wrong with it."""
        conditions = self.conditions(table["for"], (*path, "for"), 'kind = "product"') if "for" in table else ()
        kind = table.get("check")
        if kind is None:
            self.fault(path, f"expected the key check in this rule, one of {', '.join(CHECKS)}, got none")
            return None
        if not (isinstance(kind, str) and kind in CHECKS):
            fault = f"expected one of {', '.join(CHECKS)}, got {shown(kind)}{nearest(kind, CHECKS)}"
            self.fault((*path, "check"), fault)
            return None
        check = self._check(table, kind, path)
        name = str(table["name"]) if "name" in table else self._free_name(kind)
        return None if check is None else Rule(name=name, check=check, conditions=conditions)

    def _free_name(self, kind: str) -> str:
        """The check's name, with a number where that is taken."""
        name, number = kind, 1
        while name in self._names:
            number += 1
            name = f"{kind} {number}"
        self._names.add(name)
        return name

    def _check(self, table: Mapping[str, Any], kind: str, path: TomlPath) -> Check | None:
        made = CHECKS[kind]
        fields = {field.name: field for field in dataclasses.fields(made)}  # type: ignore[arg-type]
        self.check_keys(table, (*_OF_A_RULE, *fields), path)
        missing = [name for name, field in fields.items() if name not in table and _is_required(field)]
        for name in missing:
            self.fault(path, f"expected the key {name} in a rule that checks {kind}, got none")
        if missing:
            return None
        given = {name: _frozen(value) for name, value in table.items() if name in fields}
        try:
            return made(**given)
        except CheckFaults as error:
            for field, fault in error.faults:
                self.fault((*path, field) if field else path, fault)
            return None


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
