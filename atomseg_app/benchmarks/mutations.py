"""Damages files in seeded ways and watches what a reader does with each: ``python -m ...mutations FOLDER START STOP``.

Run as a worker process, since a bad reader may hang, crash or fill the memory; prints one line of JSON a mutation.
"""

from __future__ import annotations

import faulthandler
import glob
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atomseg_app.data import Columns
from atomseg_app.errors import UserError
from atomseg_app.io.files import SUPPORTED, inspect, read
from atomseg_app.operations import Report

ADDRESS_SPACE_BYTES = 3 << 30
"""How much a worker may reserve beyond what it had when it began."""
SLACK_BYTES = 8 << 20
"""What libraries take for themselves, whatever the file."""
SIDE_FILES = (".mdoc", ".rawtlt", ".tlt", ".json")
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, (1 << 64) - 1)
_HEAD = 4096


def mutate(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """What was done, and the damaged bytes; half of the damage falls into the first 4 kB, where headers are."""
    name, change = _WAYS[int(rng.integers(len(_WAYS)))]
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if data:
            data = change(data, _place(len(data), rng), rng)
    return name, bytes(data)


def _place(size: int, rng: np.random.Generator) -> int:
    return int(rng.integers(min(size, _HEAD) if rng.random() < 0.5 else size))


def _flip(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    data[at] ^= 1 << int(rng.integers(8))
    return data


def _noise(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    length = int(rng.integers(1, 64))
    data[at : at + length] = rng.bytes(length)
    return data


def _extreme(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    width = int(rng.choice([1, 2, 4, 8]))
    value = _EXTREMES[int(rng.integers(len(_EXTREMES)))] & ((1 << 8 * width) - 1)
    data[at : at + width] = value.to_bytes(width, "little" if rng.random() < 0.6 else "big")
    return data


def _cut(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    return data[:at]


def _remove(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    return data[:at] + data[at + int(rng.integers(1, 200)) :]


def _insert(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    return data[:at] + rng.bytes(int(rng.integers(1, 200))) + data[at:]


def _repeat(data: bytearray, at: int, rng: np.random.Generator) -> bytearray:
    return data[:at] + data[max(0, at - int(rng.integers(1, 2000))) :]


_Change = Callable[[bytearray, int, np.random.Generator], bytearray]
_WAYS: tuple[tuple[str, _Change], ...] = (
    ("flipped bits", _flip), ("noise", _noise), ("extreme numbers", _extreme), ("extreme numbers", _extreme),
    ("cut", _cut), ("bytes removed", _remove), ("bytes inserted", _insert), ("block repeated", _repeat),
)  # fmt: skip


def mutate_copy(source: Path, folder: Path, rng: np.random.Generator) -> tuple[str, Path]:
    """Copy of a file or folder with its side files, one of all these damaged, the main one in most cases."""
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
        parts = sorted(file for file in target.rglob("*") if file.is_file())
    else:
        beside = [file for file in source.parent.glob(f"{glob.escape(source.stem)}*") if file.is_file()]
        parts = [Path(shutil.copy(file, folder)) for file in sorted(beside)]
        if rng.random() < 0.75:
            parts = [target]
    part = parts[int(rng.integers(len(parts)))]
    way, content = mutate(part.read_bytes(), rng)
    part.write_bytes(content)
    return way, target


def try_reading(path: Path) -> tuple[str, int]:
    """What came of a file: ``opened``, ``refused`` or ``FAILED: why``, and the bytes of its largest array."""
    largest = 0
    try:
        for info in inspect(path):
            if info.refusal:
                continue
            item = read(path, info.name, Report())
            if not isinstance(item, Columns):
                largest = max(largest, item.values.nbytes)
                item.values.max()
        return "opened", largest
    except UserError as problem:
        return _judge(str(problem), path), largest
    except Exception as problem:  # noqa: BLE001 - finding these is what this is for
        return f"FAILED: {type(problem).__name__}: {problem}", largest


def _judge(sentence: str, path: Path) -> str:
    """Whether a message is one for the user."""
    if "\n" in sentence or not sentence.endswith(".") or path.name not in sentence or len(sentence) > 500:
        return f"FAILED: no clear sentence: {sentence}"
    return "FAILED: took too much memory" if "more memory" in sentence else "refused"


class Memory:
    """Peak resident memory of this process above a start; known on Linux only."""

    def __init__(self) -> None:
        self.known = os.access("/proc/self/clear_refs", os.W_OK)

    def start(self) -> None:
        """Begin a measurement."""
        if self.known:
            Path("/proc/self/clear_refs").write_text("5", "ascii")
            self._before = self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Highest use since the start; 0 where it is not known."""
        return max(0, self._status("VmHWM") - self._before) if self.known else 0

    @staticmethod
    def _status(name: str) -> int:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text("ascii").splitlines()
                    if line.startswith("VmSize:")) * 1024  # fmt: skip
        resource.setrlimit(resource.RLIMIT_AS, (held + ADDRESS_SPACE_BYTES,) * 2)


def main(folder: Path, start: int, stop: int, seed: int) -> None:
    """Work through the mutations START..STOP of the files in FOLDER/sources; the same numbers give the same damage."""
    faulthandler.enable()
    sources = sorted(path for path in (folder / "sources").iterdir() if path.suffix.lower() in SUPPORTED)
    honest = {source: try_reading(source)[1] for source in sources}  # also imports what readers need
    _limit_memory()
    memory = Memory()
    work = folder / f"work-{start}"
    for number in range(start, stop):
        rng = np.random.default_rng([seed, number])
        source = sources[number % len(sources)]
        work.mkdir()
        print(json.dumps({"number": number, "source": source.name}), flush=True)  # noqa: T201 - if it never returns
        way, target = mutate_copy(source, work, rng)
        size = target.stat().st_size
        memory.start()
        clock = time.perf_counter()
        outcome, decoded = try_reading(target)
        took, peak = time.perf_counter() - clock, memory.peak_bytes()
        allowed = 2 * max(size, decoded, honest[source]) + SLACK_BYTES
        if peak > allowed and not outcome.startswith("FAILED"):
            outcome = f"FAILED: took {peak >> 20} MB for {allowed >> 20} MB"
        line = {"number": number, "source": source.name, "way": way, "outcome": outcome, "seconds": took, "peak": peak}
        print(json.dumps(line), flush=True)  # noqa: T201 - the protocol with the parent
        if outcome.startswith("FAILED") and target.is_file():
            shutil.copy(target, folder / f"failed-{number}-{source.name}")
        shutil.rmtree(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5]))
