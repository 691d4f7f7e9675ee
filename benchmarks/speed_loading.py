"""How long adapters take from disk into memory, ready for a batch: ours, `adapters` and `peft`, beside reading the files.

    python benchmarks/speed_loading.py
    python benchmarks/speed_loading.py --quick    # a rough look

Ours is `load_passes` (digest checked, safetensors) and `Bank.add`. The files were read before, so that the disk does not
count. Ours has a head of 15 labels, the others' adapters have none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import torch
import transformers
from safetensors.torch import load_file

from benchmarks.measuring import machine
from benchmarks.peer_process import PeerProcess, peer_python
from benchmarks.peers.speed_loading_rig import LORA_RANK, RANK, Loads, each, reading
from benchmarks.peers.speed_rig import BOTTLENECK, LORA
from benchmarks.speed import CACHE, HERE
from benchmarks.speed_loading_page import DIGEST, OURS, READ, SAFETENSORS, Goes, page, summary
from benchmarks.speed_ours import LABELS, random_adapter
from benchmarks.speed_peer import LIBRARIES
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import MINILM, load_base
from portfolio.hosting.host import Host
from portfolio.hosting.weights import to_bytes
from portfolio.loading import load_passes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig
from portfolio.methods.table import config_to_json
from portfolio.portfolio import Portfolio
from portfolio.records import AdapterRecord

CONFIGS = {BOTTLENECK: BottleneckConfig(rank=RANK), LORA: LoraConfig(rank=LORA_RANK, alpha=2.0 * LORA_RANK)}
METHODS = {"adapters": BOTTLENECK, "peft": LORA}  # what each library loads


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures: how many adapters at once, and for each of these numbers how many rounds."""

    work: Path
    output: Path | None  # a directory; None: print only
    rounds: int
    threads: int
    ours: tuple[tuple[str, int], ...]  # method, adapters
    theirs: tuple[tuple[str, int, int], ...]  # library, adapters, rounds
    quick: bool

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        quick = " --quick" if self.quick else ""
        return f"python benchmarks/speed_loading.py --rounds {self.rounds} --threads {self.threads}{quick}"


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    versions: dict[str, object] = {
        "python": platform.python_version(),
        OURS: {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    host = Host(load_base(MINILM), trunk=0)
    goes: list[Goes] = []
    with TemporaryDirectory() as directory, ExitStack() as stack:
        stored = Stored(Path(directory), host)
        for method, count in settings.ours:
            goes += stored.goes(method, count, settings.rounds)
        for name in METHODS:
            peer = stack.enter_context(Peer(name, settings, str(host.base.model.name_or_path)))
            versions[name] = peer.versions
            goes += [peer.goes(count, rounds) for library, count, rounds in settings.theirs if library == name]
    figures: dict[str, object] = {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine(settings.threads),
        "versions": versions,
        "loads": summary(goes),
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "speed_loading.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "speed_loading.md").write_text(page(figures), encoding="utf-8")


class Stored:
    """A store with random adapters, made as they are asked for."""

    def __init__(self, directory: Path, host: Host) -> None:
        self.store = Portfolio.init(directory / "portfolio", host.base, trunk=0).store
        self.host = host
        self.records: dict[str, list[AdapterRecord]] = {method: [] for method in CONFIGS}

    def goes(self, method: str, count: int, rounds: int) -> list[Goes]:
        """Ours, plain reading and safetensors, one after the other in each round."""
        made = self.records[method]
        made += [self._record(method, number) for number in range(len(made), count)]
        records = made[:count]
        files = [self.store.path / "blobs" / one.digest[:2] / one.digest[2:] for one in records]
        contestants: dict[str, Callable[[], Callable[[int], object]]] = {
            OURS: lambda: self._into_a_bank(records),
            READ: lambda: lambda number: files[number].read_bytes(),
            DIGEST: lambda: lambda number: hashlib.sha256(files[number].read_bytes()).digest(),
            SAFETENSORS: lambda: lambda number: load_file(files[number]),
        }
        seen: dict[str, list[Loads]] = {by: [] for by in contestants}
        for number in range(rounds + 1):  # one to warm up
            plain = reading(files)
            seconds = {by: each(fresh(), count) for by, fresh in contestants.items()}
            if number:
                for by, taken in seconds.items():
                    seen[by].append(Loads(taken, plain, records[0].bytes, sum(seconds[SAFETENSORS])))
        head = 4 * LABELS * (self.host.feature_width + 1)
        return [Goes(by=by, method=method, head_bytes=head, loads=loads) for by, loads in seen.items()]

    def _into_a_bank(self, records: Sequence[AdapterRecord]) -> Callable[[int], object]:
        bank = Bank()

        def load(number: int) -> None:
            for one in load_passes(self.store, records[number]):
                bank.add(records[number].digest, one)

        return load

    def _record(self, method: str, number: int) -> AdapterRecord:
        config = CONFIGS[method]
        adapter = random_adapter(self.host, config, number, LABELS)
        data = to_bytes(adapter)
        return AdapterRecord(
            name=f"{method}-{number}",
            version=1,
            task=f"{method}-{number}",
            digest=self.store.put(data),
            method=method,
            config=config_to_json(config),
            training="{}",
            parameters=adapter.parameters,
            bytes=len(data),
            seconds=0.0,
            epochs=0,
            seed=number,
            validation_score=0.0,
        )


class Peer:
    """A library in its own process."""

    def __init__(self, name: str, settings: Settings, base: str) -> None:
        library = LIBRARIES[name]
        self.name = name
        python = peer_python(settings.work, library.requirement, f"torch=={torch.__version__.partition('+')[0]}")
        most = max(count for library, count, _ in settings.theirs if library == name)
        command = [str(python), str(HERE / "peers" / f"speed_loading_{name}.py"), "--base", base]
        command += ["--most", str(most), "--threads", str(settings.threads)]
        self._process = PeerProcess(library.requirement, command)
        self.versions: dict[str, str] = self._process.hello["versions"]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def goes(self, count: int, rounds: int) -> Goes:
        answers = [self._process.ask({"count": count}) for _ in range(rounds)]
        loads = [Loads(**{**answer, "seconds": tuple(answer["seconds"])}) for answer in answers]
        return Goes(by=self.name, method=METHODS[self.name], head_bytes=0, loads=loads)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=CACHE, help="directory that keeps the other libraries' environments"
    )
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a rough look: fewer adapters, nothing written")
    chosen = parser.parse_args()
    rounds, quick = chosen.rounds, chosen.quick
    many = 30 if quick else 100
    return Settings(
        work=chosen.work,
        output=chosen.output or (None if quick else HERE / "results"),
        rounds=rounds,
        threads=chosen.threads,
        ours=((BOTTLENECK, many), (LORA, many)) if quick else ((BOTTLENECK, 100), (BOTTLENECK, 1000), (LORA, 100)),
        theirs=(("adapters", many, rounds), ("peft", 10, rounds), ("peft", many, 1)),  # each of peft's takes longer
        quick=quick,
    )


if __name__ == "__main__":
    main()
