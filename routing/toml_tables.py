"""What readers of TOML files of rules share: they find every fault and name it with its line, instead of the first alone."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from routing.rules import Condition
from routing.toml_lines import TomlPath, by_line, shown


class TableReader:
    """Collects the faults of one document, each with the path of the value at fault. A file's own reader is one of these."""

    def __init__(self) -> None:
        self._faults: list[tuple[TomlPath, str]] = []

    def fault(self, path: TomlPath, fault: str) -> None:
        """Note what is wrong, and go on."""
        self._faults.append((path, fault))

    def raise_faults(self, text: str, source: str, kind: type[Exception]) -> None:
        """Raise an error of that kind, a line each, if anything was wrong with the text that the document came from."""
        if self._faults:
            raise kind(by_line(self._faults, text, source))

    def check_keys(self, table: Mapping[str, Any], known: Collection[str], path: TomlPath) -> None:
        """Note every key that is none of these."""
        for key in table:
            if key not in known:
                expected = f"expected one of {', '.join(known)}"
                self.fault((*path, key), f"unknown key {shown(key)}: {expected}{nearest(key, known)}")

    def conditions(self, table: Any, path: TomlPath, example: str) -> tuple[Condition, ...]:
        """A table of tags, each with a value or several."""
        if not (isinstance(table, dict) and table):
            self.fault(path, f"expected a table of tags, such as {{ {example} }}, got {shown(table)}")
            return ()
        return tuple(Condition(key=key, values=self.values(value, (*path, key))) for key, value in table.items())

    def values(self, value: Any, path: TomlPath) -> tuple[str, ...]:
        """A text or a list of texts."""
        values = value if isinstance(value, list) else [value]
        if not (values and all(isinstance(one, str) and one for one in values)):
            self.fault(path, f"expected text or a list of texts, none of them empty, got {shown(value)}")
            return ()
        return tuple(values)


def nearest(word: object, known: Collection[str]) -> str:
    """The known word that was likely meant, as the end of a sentence."""
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
