"""How another library's process of `speed.py` talks: JSON lines.

First it says who it is and what it can run, then answers each of

    {"do": "time", "case": …}                the case after a plain pass of the base
    {"do": "check", "case": …, "every": N}   each N-th row of the case against that row run alone
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TextIO

import torch
import transformers
from fusion_rig import timed
from speed_rig import Case, Job
from torch import Tensor
from transformers import BertModel
from transformers.utils import logging

Jobs = dict[Case, Job]


def serve(about: str, library: Mapping[str, str], make_jobs: Callable[[str], Jobs]) -> None:
    """Answers until nobody asks any more.

    Args:
        about: the script, for its help.
        library: name and version.
        make_jobs: from the directory of the base.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="directory of the base")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    jobs = make_jobs(arguments.base)
    versions = {**library, "torch": torch.__version__, "transformers": transformers.__version__}
    _say({"versions": versions, "cases": [asdict(case) for case in jobs]}, answers)
    for line in sys.stdin:
        asked = json.loads(line)
        job = jobs[Case(**asked["case"])]
        _say(asdict(timed(job.run, job.base) if asked["do"] == "time" else job.check(asked["every"])), answers)


def _say(answer: Mapping[str, object], answers: TextIO) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def load_model(directory: str) -> BertModel:
    """The base, float32, in evaluation mode."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # else it reports the pooler, which is left out
    model: BertModel = BertModel.from_pretrained(directory, add_pooling_layer=False, dtype=torch.float32)
    model.train(False)
    return model


def plain_forward(model: BertModel, ids: Tensor) -> Tensor:
    with torch.inference_mode():
        states: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return states
