"""The line of everything in a TOML file whose one array of tables is `[[rule]]`, so that a fault can be named with it.

TOML's reader gives values without their places; here they are found again in the text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlPath = tuple[str | int, ...]  # of a value in the document, such as ("rule", 0, "when", "tenant")

_SHOWN_CHARACTERS = 60
_CLOSING = ("]", '"""', "'''")  # one of them stands in the last line of a value of several lines


def read_toml(text: str, source: str) -> dict[str, Any]:
    """What a text of TOML holds.

    Raises:
        ValueError: it is no TOML; the message begins with `source` and the line.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(_syntax_fault(error, text, source)) from error


def by_line(faults: Iterable[tuple[TomlPath, str]], text: str, source: str) -> str:
    """A message of one line for each fault, `source:line: fault`, in the order of the lines.

    Args:
        faults: each with the path of the value at fault.
        text: sound TOML.
    """
    lines = _lines(text)
    found = sorted((_line_of(path, lines), fault) for path, fault in faults)
    return "\n".join(f"{source}:{line}: {fault}" for line, fault in found)


def shown(value: object) -> str:
    """`value` as a message may quote it, nearly as TOML writes it."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) <= _SHOWN_CHARACTERS else f"{written[:_SHOWN_CHARACTERS]}…"


def _syntax_fault(error: Exception, text: str, source: str) -> str:
    """The parser says `… (at line 3, column 5)`, or `… (at end of document)`."""
    found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    said = str(error)[: found.start()] if found else str(error)
    return f"{source}:{line}: expected TOML, got a fault: {said}"


def _line_of(path: TomlPath, lines: Mapping[TomlPath, int]) -> int:
    """That of the value, or of the innermost thing around it that has one."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _lines(text: str) -> dict[TomlPath, int]:
    """The line on which each table and each key of a sound document begins."""
    lines: dict[TomlPath, int] = {(): 1}
    table: TomlPath = ()  # whose keys follow
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


def _paths(content: Any) -> Iterator[TomlPath]:
    """The paths of everything inside, the outer before the inner."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inner in pairs:
        yield (key,)
        yield from ((key, *path) for path in _paths(inner))
