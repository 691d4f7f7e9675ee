"""JSON of unknown origin, to values of exactly the types that are expected, or a refusal that names the place."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
import unicodedata
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from portfolio.errors import Untrusted

R = TypeVar("R")

_LARGEST = 2**63 - 1  # that SQLite keeps
_ALLOWED_CONTROLS = "\n\t"  # others could steer a terminal


def strict_json(data: bytes | str, what: str) -> Any:
    """The value, whose objects name no key twice, and whose numbers are finite.

    Raises:
        Untrusted: it is no such JSON; `what` says in the message what was read.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=_once_each, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise Untrusted(f"{what} is not the JSON that was expected: {error}") from error


def keys_of(value: object, keys: Sequence[str], where: str) -> dict[str, Any]:
    """The value, if it is an object of exactly these keys.

    Raises:
        Untrusted: it is none; the message names what is missing and what is unknown.
    """
    if not isinstance(value, dict):
        raise Untrusted(f"{where}: expected an object with {', '.join(keys)}, got {_shown(value)}")
    missing, unknown = [key for key in keys if key not in value], sorted(set(value) - set(keys))
    if missing or unknown:
        faults = [f"without {', '.join(missing)}"] * bool(missing)
        faults += [f"with the unknown {', '.join(map(repr, unknown[:5]))}"] * bool(unknown)
        raise Untrusted(f"{where}: expected an object with {', '.join(keys)}; got one {' and '.join(faults)}")
    return value


def record_of(kind: type[R], value: object, where: str) -> R:
    """The dataclass whose JSON object this is: every field there, of its own type, and no other.

    Raises:
        Untrusted: the message names the first field that is not.
    """
    types_of = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    fields = keys_of(value, names, where)
    return kind(**{name: _typed(types_of[name], fields[name], f"{where}: {name}") for name in names})


def _typed(expected: Any, value: Any, where: str) -> Any:
    """The value as one of that type; lists become tuples."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in arguments:
            return None
        [expected] = [one for one in arguments if one is not types.NoneType]
        return _typed(expected, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            _refuse(where, "a list", value)
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(each) != len(value):
            _refuse(where, f"{len(each)} values", value)
        return tuple(
            _typed(one, part, f"{where}[{place}]") for place, (one, part) in enumerate(zip(each, value, strict=True))
        )
    if dataclasses.is_dataclass(expected):
        return record_of(expected, value, where)  # type: ignore[arg-type]
    if expected is float:
        return value if type(value) in (int, float) else _refuse(where, "a number", value)
    if expected is str:
        return _text(value, where)
    return value if type(value) is expected else _refuse(where, f"{expected.__name__}", value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        _refuse(where, "a text", value)
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in _ALLOWED_CONTROLS:
            _refuse(where, "a text without control characters", value)
    return str(value)


def _refuse(where: str, expected: str, value: object) -> NoReturn:
    raise Untrusted(f"{where}: expected {expected}, got {_shown(value)}")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError(f"{text[:40]} is too large an integer")
    return number
