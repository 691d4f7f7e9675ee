"""Files beside the models: answers that somebody wrote down with a version (JSONL: prompt, output, expected), documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from portfolio.errors import DataError
from portfolio.evidence.examples import under
from portfolio.gates.evidence import Document, Texts
from portfolio.refs import Ref
from portfolio.tasks.faults import Faults, shown
from portfolio.tasks.locations import require_file
from portfolio.tasks.readers import read_jsonl


def read_written(root: Path, place: str, ref: Ref) -> Texts:
    """The answers there.

    Args:
        root: what a relative path is relative to.
        place: `{name}` and `{version}` in it stand for those of the version.

    Raises:
        DataError: they cannot be read; all faults of the file are named together.
    """
    path = Path(under(root, place.replace("{name}", ref.name).replace("{version}", str(ref.version))))
    require_file(path)
    faults = Faults(str(path))
    table = read_jsonl(path, faults)
    prompts, outputs, expected = [], [], []
    for number, fields in table.rows(table.columns):
        where = table.place(number)
        prompts.append(_text(fields, "prompt", where, faults) or "")
        outputs.append(_text(fields, "output", where, faults) or "")
        expected.append(_text(fields, "expected", where, faults, needed=False))
    if not prompts:
        faults.add(faults.source, 'expected answers, such as {"prompt": "…", "output": "…"}, got none')
    faults.raise_if_any()
    return Texts(
        prompts=tuple(prompts),
        outputs=tuple(outputs),
        expected=tuple(expected),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def read_document(root: Path, place: str) -> Document:
    """A text file that a rule needs.

    Raises:
        DataError: it cannot be read.
    """
    path = Path(under(root, place))
    require_file(path)
    try:
        data = path.read_bytes()
        return Document(text=data.decode("utf-8-sig"), digest=hashlib.sha256(data).hexdigest())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected text in UTF-8 in {path}, got what cannot be read: {error}") from error


def _text(fields: Mapping[str, object], name: str, place: str, faults: Faults, *, needed: bool = True) -> str | None:
    """An output may be empty: then the version said nothing."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        faults.add(place, f"expected text in {shown(name)}, got {shown(value)}")
    elif needed:
        faults.add(place, f"the row has no {shown(name)}")
    return None
