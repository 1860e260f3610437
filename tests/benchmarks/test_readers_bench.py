"""The benchmark of readers: damaged files do no harm, and a reader that did harm would be noticed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks import mutations, readers
from atomseg_app.errors import FileError


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Folder with the files that the program writes itself."""
    readers.collect_sources(tmp_path / "sources", None)
    return tmp_path


def test_damaged_files_of_every_format(sources: Path) -> None:
    """400 of the 10,000, over every format, in worker processes with bounds on memory and time."""
    results = list(readers.run_mutations(sources, 400, seed=11, workers=1))
    assert [result["number"] for result in results] == list(range(400))
    assert [result for result in results if result["outcome"] not in ("opened", "refused")] == []
    assert len({result["source"] for result in results}) >= 20
    assert {"opened", "refused"} == {result["outcome"] for result in results}


def test_the_same_seed_damages_the_same_way() -> None:
    content = bytes(range(256)) * 20
    first, again, other = (mutations.mutate(content, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert first[1] != content


@pytest.mark.parametrize("problem", [KeyError("x"), RecursionError(), SystemError("negative size")])
def test_a_traceback_is_a_failure(problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise problem

    monkeypatch.setattr(mutations, "inspect", broken)
    assert mutations.try_reading(tmp_path / "a.tif")[0].startswith(f"FAILED: {type(problem).__name__}")


@pytest.mark.parametrize(
    "text", ["a.tif\nis bad.", "something is wrong.", "a.tif is bad", "a.tif: it needs more memory than there is."]
)
def test_an_unclear_sentence_is_a_failure(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unclear(path: Path) -> None:
        raise FileError(text)

    monkeypatch.setattr(mutations, "inspect", unclear)
    assert mutations.try_reading(tmp_path / "a.tif")[0].startswith("FAILED")


def test_memory_is_measured() -> None:
    memory = mutations.Memory()
    if not memory.known:
        pytest.skip("peak memory is known on Linux only")
    memory.start()
    block = np.ones(64 << 20, np.uint8)  # larger than what the allocator keeps of freed memory
    del block
    assert 60 << 20 < memory.peak_bytes() < 100 << 20


@pytest.mark.parametrize(("then", "outcome"), [("os.abort()", "crashed"), ("time.sleep(60)", "hung")])
def test_crashes_and_hangs_are_failures(
    then: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies or falls silent costs one failure, and the rest goes on in a new one."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, os, sys, time\n"
        "start, stop = int(sys.argv[4]), int(sys.argv[5])\n"
        "for number in range(start, stop):\n"
        "    print(json.dumps({'number': number, 'source': 'a.tif'}), flush=True)\n"
        f"    if number == 2: {then}\n"
        "    done = {'number': number, 'source': 'a.tif', 'outcome': 'opened', 'seconds': 0, 'peak': 0}\n"
        "    print(json.dumps(done), flush=True)\n",
        "utf-8",
    )
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n', "utf-8")
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    monkeypatch.setattr(readers, "HANG_S", 1.0)
    results = list(readers.run_mutations(tmp_path, 5, seed=0, workers=1))
    assert [result["number"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["outcome"] == "opened" for result in results] == [True, True, False, True, True]
    assert outcome in results[2]["outcome"]


def test_the_benchmark_prints_and_judges(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not readers._damaged(60, 0, None)
    printed = capsys.readouterr().out
    assert "60 damaged files (seed 0): 0 tracebacks, hangs or excess allocations" in printed
    assert "AtomSeg" in printed
