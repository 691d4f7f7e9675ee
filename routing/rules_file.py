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

from collections.abc import Mapping
from typing import Any

from routing.rules import ANY, TASK, Allow, Condition, Deny, Pin, RiskList, Rule, Rules
from routing.toml_lines import TomlPath, read_toml, shown
from routing.toml_tables import TableReader

_RULE_KEYS = ("name", "when", "allow", "deny", "pin")
_ACTIONS = ("allow", "deny", "pin")
_EXAMPLE = 'tenant = "acme"'  # of tags


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
        document = read_toml(text, source)
    except ValueError as error:
        raise RulesError(str(error)) from error
    reader = _Reader()
    rules = reader.rules(document)
    reader.raise_faults(text, source, RulesError)
    return rules


class _Reader(TableReader):
    """Reads one document."""

    def rules(self, document: Mapping[str, Any]) -> Rules:
        self.check_keys(document, ("rule", "risk"), ())
        risks = self._risks(document["risk"]) if "risk" in document else ()
        rules: tuple[Rule, ...] = ()
        tables = document.get("rule")
        if isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables):
            rules = tuple(self._rule(table, index) for index, table in enumerate(tables))
        elif "rule" in document:
            self.fault(("rule",), f"expected [[rule]] tables, got {shown(tables)}")
        self._check_names(rules, risks)
        return Rules(rules=rules, risks=risks)

    def _risks(self, table: Any) -> tuple[RiskList, ...]:
        if not (isinstance(table, dict) and table):
            self.fault(("risk",), f"expected a table for each risk class, such as [risk.high], got {shown(table)}")
            return ()
        return tuple(self._risk_list(risk, inner) for risk, inner in table.items())

    def _risk_list(self, risk: str, table: Any) -> RiskList:
        path: TomlPath = ("risk", risk)
        conditions: tuple[Condition, ...] = ()
        if not _is_name(risk):
            self.fault(path, f"expected the name of a risk class, got {shown(risk)}")
        if not isinstance(table, dict):
            self.fault(path, f"expected a table with the key allow, got {shown(table)}")
        else:
            self.check_keys(table, ("allow",), path)
            if "allow" in table:
                conditions = self._tasks(table["allow"], (*path, "allow"))
            else:
                self.fault(path, f"expected the key allow for the risk class {shown(risk)}, got none")
        return RiskList(risk=risk, conditions=conditions)

    def _rule(self, table: Mapping[str, Any], index: int) -> Rule:
        path: TomlPath = ("rule", index)
        self.check_keys(table, _RULE_KEYS, path)
        name = f"rule {index + 1}"
        if _is_name(table.get("name", name)):
            name = table.get("name", name)
        else:
            self.fault((*path, "name"), f"expected one line of text, got {shown(table['name'])}")
        when = self.conditions(table["when"], (*path, "when"), _EXAMPLE) if "when" in table else ()
        return Rule(name=name, when=when, action=self._action(table, path))

    def _action(self, table: Mapping[str, Any], path: TomlPath) -> Allow | Deny | Pin:
        """That of the rule; of more than one, which is a fault, the last."""
        given = [key for key in table if key in _ACTIONS]
        if not given:
            self.fault(path, "expected one of allow, deny, pin in this rule, got none")
        for key in given[1:]:
            self.fault(
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

    def _task(self, value: Any, path: TomlPath) -> str:
        if not _is_name(value):
            self.fault(path, f"expected the name of one task, got {shown(value)}")
        return str(value)

    def _tasks(self, value: Any, path: TomlPath) -> tuple[Condition, ...]:
        """Of a list of task names, or of a table of their tags."""
        if isinstance(value, list):
            return (Condition(key=TASK, values=self.values(value, path)),)
        if isinstance(value, dict):
            if "name" in value:  # no task has such a tag, so that a deny would deny nothing
                self.fault((*path, "name"), f"expected the name of a task under the key {TASK}, got the key name")
            return self.conditions(value, path, _EXAMPLE)
        self.fault(path, f"expected a list of task names or a table of tags, got {shown(value)}")
        return ()

    def _check_names(self, rules: tuple[Rule, ...], risks: tuple[RiskList, ...]) -> None:
        taken = {risk_list.name for risk_list in risks}
        for index, rule in enumerate(rules):
            if rule.name in taken:
                self.fault(("rule", index, "name"), f"expected names that differ, got {shown(rule.name)} again")
            taken.add(rule.name)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and value != ANY
