"""A file of texts in, a file of answers out: the command line, and `transformers.pipeline` with one model, told the task."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import cli

BATCH = 32  # of the pipeline
LABELS = 77  # of its model's head, which knows nothing: only its speed counts
_START = "import sys; sys.path[:0] = {path!r}; from benchmarks.end_to_end_texts import {call}; {call}({arguments})"


def write_texts(path: Path, texts: Mapping[str, Sequence[str]], count: int, seed: int) -> int:
    """So many of these texts in mixed order, a JSON object a line; how many there were."""
    everything = [text for some in texts.values() for text in some]
    chosen = np.random.default_rng(seed).permutation(len(everything))[:count]
    path.write_text("".join(json.dumps({"text": everything[row]}) + "\n" for row in chosen), encoding="utf-8")
    return len(chosen)


def save_model(base: str, directory: Path) -> None:
    """The base with a head of random weights, as a fine-tuned model is saved."""
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=LABELS).save_pretrained(directory)
    AutoTokenizer.from_pretrained(base).save_pretrained(directory)


def ours(portfolio: str, source: str, target: str, threads: int) -> None:
    """`portfolio predict --file SOURCE --out TARGET`."""
    arguments = ["-p", portfolio, "predict", "--file", source, "--out", target, "--threads", str(threads)]
    code = cli.main(arguments)
    assert code == 0, f"portfolio {' '.join(arguments)} ended with {code}"


def theirs(model: str, source: str, target: str, threads: int, max_tokens: int, is_sorted: bool = False) -> None:
    """The pipeline, all texts handed over at once.

    Args:
        is_sorted: by length before, and back into order after, which the pipeline leaves to its user.
    """
    torch.set_num_threads(threads)
    classify = pipeline("text-classification", model=model, tokenizer=model, device=-1)
    with open(source, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    order = sorted(range(len(texts)), key=lambda row: len(texts[row])) if is_sorted else list(range(len(texts)))
    found = classify([texts[row] for row in order], batch_size=BATCH, truncation=True, max_length=max_tokens)
    lines = dict(zip(order, found, strict=True))
    with open(target, "w", encoding="utf-8") as stream:
        for row, text in enumerate(texts):
            stream.write(json.dumps({"text": text, **lines[row]}) + "\n")


def start(call: str, arguments: Sequence[object]) -> None:
    """The same as a process of its own."""
    code = _START.format(path=[str(Path(__file__).parents[1])], call=call, arguments=", ".join(map(repr, arguments)))
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
