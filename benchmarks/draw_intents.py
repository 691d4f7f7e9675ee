"""CLINC150 as tasks of random intents: writes the files of each task and a sequence to grow them along.

PORTFOLIO_DATA=DIR python benchmarks/draw_intents.py --into DIR2 --seed 0
python benchmarks/grow.py DIR2/sequence.toml --into DIR3 --oos DIR/clinc150/oos.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")


def main() -> None:
    arguments = _arguments()
    into: Path = arguments.into
    into.mkdir(parents=True, exist_ok=True)
    rows = {split: _lines(Path(os.environ["PORTFOLIO_DATA"]) / "clinc150" / f"{split}.jsonl") for split in SPLITS}
    intents = np.array(sorted({row["label"] for row in rows["train"]}))
    drawn = np.random.default_rng(arguments.seed).permutation(intents).reshape(arguments.tasks, -1)
    sequence = [f'name = "clinc150-draw-{arguments.seed}"', "seed = 0"]
    for number, some in enumerate(drawn):
        name, wanted = f"draw-{number}", set(some.tolist())
        sequence += ["", "[[task]]", f'name = "{name}"']
        for split in SPLITS:
            text = "".join(json.dumps(row) + "\n" for row in rows[split] if row["label"] in wanted)
            (into / f"{name}.{split}.jsonl").write_text(text)
            sequence.append(f'{split} = "{name}.{split}.jsonl"')
    (into / "sequence.toml").write_text("\n".join(sequence) + "\n")


def _lines(file: Path) -> list[dict[str, str]]:
    kept = ("text", "label")
    return [{key: row[key] for key in kept} for row in map(json.loads, file.read_text().splitlines())]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    main()
