"""`routes.toml`: the text of a portfolio's rules.

    [[rule]]
    name = "acme stays with acme"             # optional; "rule 1" by position
    when = { tenant = "acme" }                # optional; of the request: its tenant or any of its tags
    allow = { tenant = ["acme", "shared"] }   # or deny, of the tasks: any tag or `task`, the name; or a list of names
                                              # or pin = "refunds", one name
    [risk.high]
    allow = ["claims", "claims-eu"]           # a list or a table, as above

What they mean stands in `rules.py`. Here every fault is found, and named with its line.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from routing.rules import ANY, TASK, Allow, Condition, Deny, Pin, RiskList, Rule, Rules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_RULE_KEYS = ("name", "when", "allow", "deny", "pin")
_ACTIONS = ("allow", "deny", "pin")
_SHOWN_CHARACTERS = 60
_CLOSING = ("]", '"""', "'''")  # one of them stands in the last line of a value of several lines

_Path = tuple[str | int, ...]  # of a value in the document, such as ("rule", 0, "when", "tenant")


class RulesError(ValueError):
    """Everything wrong with one file of rules, a line each."""


def parse_rules(text: str, source: str = "routes.toml") -> Rules:
    """The rules in the text of a file.

    Args:
        source: what to call the file in messages.

    Raises:
        RulesError: it is no TOML, or something in it cannot be; all faults are named together.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError(_syntax_fault(error, text, source)) from error
    reader = _Reader()
    rules = reader.rules(document)
    if reader.faults:
        lines = _lines(text)
        found = sorted((_line_of(path, lines), fault) for path, fault in reader.faults)
        raise RulesError("\n".join(f"{source}:{line}: {fault}" for line, fault in found))
    return rules


class _Reader:
    """Reads one document and collects its faults, each with the path of the value at fault."""

    def __init__(self) -> None:
        self.faults: list[tuple[_Path, str]] = []

    def rules(self, document: Mapping[str, Any]) -> Rules:
        self._check_keys(document, ("rule", "risk"), ())
        risks = self._risks(document["risk"]) if "risk" in document else ()
        rules: tuple[Rule, ...] = ()
        tables = document.get("rule")
        if isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables):
            rules = tuple(self._rule(table, index) for index, table in enumerate(tables))
        elif "rule" in document:
            self._fault(("rule",), f"expected [[rule]] tables, got {_shown(tables)}")
        self._check_names(rules, risks)
        return Rules(rules=rules, risks=risks)

    def _risks(self, table: Any) -> tuple[RiskList, ...]:
        if not (isinstance(table, dict) and table):
            self._fault(("risk",), f"expected a table for each risk class, such as [risk.high], got {_shown(table)}")
            return ()
        return tuple(self._risk_list(risk, inner) for risk, inner in table.items())

    def _risk_list(self, risk: str, table: Any) -> RiskList:
        path: _Path = ("risk", risk)
        conditions: tuple[Condition, ...] = ()
        if not _is_name(risk):
            self._fault(path, f"expected the name of a risk class, got {_shown(risk)}")
        if not isinstance(table, dict):
            self._fault(path, f"expected a table with the key allow, got {_shown(table)}")
        else:
            self._check_keys(table, ("allow",), path)
            if "allow" in table:
                conditions = self._tasks(table["allow"], (*path, "allow"))
            else:
                self._fault(path, f"expected the key allow for the risk class {_shown(risk)}, got none")
        return RiskList(risk=risk, conditions=conditions)

    def _rule(self, table: Mapping[str, Any], index: int) -> Rule:
        path: _Path = ("rule", index)
        self._check_keys(table, _RULE_KEYS, path)
        name = f"rule {index + 1}"
        if _is_name(table.get("name", name)):
            name = table.get("name", name)
        else:
            self._fault((*path, "name"), f"expected one line of text, got {_shown(table['name'])}")
        when = self._conditions(table["when"], (*path, "when")) if "when" in table else ()
        return Rule(name=name, when=when, action=self._action(table, path))

    def _action(self, table: Mapping[str, Any], path: _Path) -> Allow | Deny | Pin:
        """That of the rule; of more than one, which is a fault, the last."""
        given = [key for key in table if key in _ACTIONS]
        if not given:
            self._fault(path, "expected one of allow, deny, pin in this rule, got none")
        for key in given[1:]:
            self._fault(
                (*path, key), f"expected one of allow, deny, pin, got {key} beside {given[0]}; make it two rules"
            )
        action: Allow | Deny | Pin = Deny(conditions=())
        for key in given:
            inner = (*path, key)
            if key == "pin":
                action = Pin(task=self._task(table[key], inner))
            elif key == "allow":
                action = Allow(conditions=self._tasks(table[key], inner))
            else:
                action = Deny(conditions=self._tasks(table[key], inner))
        return action

    def _task(self, value: Any, path: _Path) -> str:
        if not _is_name(value):
            self._fault(path, f"expected the name of one task, got {_shown(value)}")
        return str(value)

    def _tasks(self, value: Any, path: _Path) -> tuple[Condition, ...]:
        """Of a list of task names, or of a table of their tags."""
        if isinstance(value, list):
            return (Condition(key=TASK, values=self._values(value, path)),)
        if isinstance(value, dict):
            if "name" in value:  # no task has such a tag, so that a deny would deny nothing
                self._fault((*path, "name"), f"expected the name of a task under the key {TASK}, got the key name")
            return self._conditions(value, path)
        self._fault(path, f"expected a list of task names or a table of tags, got {_shown(value)}")
        return ()

    def _conditions(self, table: Any, path: _Path) -> tuple[Condition, ...]:
        if not (isinstance(table, dict) and table):
            self._fault(path, f'expected a table of tags, such as {{ tenant = "acme" }}, got {_shown(table)}')
            return ()
        return tuple(Condition(key=key, values=self._values(value, (*path, key))) for key, value in table.items())

    def _values(self, value: Any, path: _Path) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not (values and all(isinstance(one, str) and one for one in values)):
            self._fault(path, f"expected text or a list of texts, none of them empty, got {_shown(value)}")
            return ()
        return tuple(values)

    def _check_names(self, rules: tuple[Rule, ...], risks: tuple[RiskList, ...]) -> None:
        taken = {risk_list.name for risk_list in risks}
        for index, rule in enumerate(rules):
            if rule.name in taken:
                self._fault(("rule", index, "name"), f"expected names that differ, got {_shown(rule.name)} again")
            taken.add(rule.name)

    def _check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], path: _Path) -> None:
        for key in table:
            if key not in known:
                self._fault((*path, key), f"unknown key {_shown(key)}: expected one of {', '.join(known)}")

    def _fault(self, path: _Path, fault: str) -> None:
        self.faults.append((path, fault))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and value != ANY


def _shown(value: object) -> str:
    """`value` as a message may quote it, nearly as TOML writes it."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) <= _SHOWN_CHARACTERS else f"{written[:_SHOWN_CHARACTERS]}…"


def _syntax_fault(error: Exception, text: str, source: str) -> str:
    """The parser says `… (at line 3, column 5)`, or `… (at end of document)`."""
    found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    said = str(error)[: found.start()] if found else str(error)
    return f"{source}:{line}: expected TOML, got a fault: {said}"


def _line_of(path: _Path, lines: Mapping[_Path, int]) -> int:
    """That of the value, or of the innermost thing around it that has one."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _lines(text: str) -> dict[_Path, int]:
    """The line on which each table and each key of a sound document begins."""
    lines: dict[_Path, int] = {(): 1}
    table: _Path = ()  # whose keys follow
    rules = -1  # index of the latest [[rule]]
    for line, statement, content in _statements(text):
        if statement.lstrip().startswith("["):
            rules += isinstance(content.get("rule"), list)
            table = tuple(_header(content))
            if table[0] == "rule" and rules >= 0:
                table = ("rule", rules, *table[1:])
            paths = [table[:length] for length in range(1, len(table) + 1)]
        else:
            paths = [(*table, *path) for path in _paths(content)]
        for path in paths:
            lines.setdefault(path, line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Every header and every key with its value: its first line, its text, and what it says alone.

    The parser keeps no lines. But a statement of TOML ends where a line ends and is a document of its own, and no
    shorter run of its lines is one: so the statements are found by trying.
    """
    first, statement = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        may_end = not statement or any(mark in line for mark in _CLOSING)
        statement += f"{line}\n"
        if not may_end:
            continue
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on
        if content:  # neither blank nor a comment
            yield first, statement, content
        first, statement = number + 1, ""


def _header(content: Any) -> Iterator[str]:
    """The keys in a header, from the nested tables that it is."""
    while content:
        if isinstance(content, list):
            content = content[0]
        else:
            [(key, content)] = content.items()
            yield key


def _paths(content: Any) -> Iterator[_Path]:
    """The paths of everything inside, the outer before the inner."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inner in pairs:
        yield (key,)
        yield from ((key, *path) for path in _paths(inner))
