"""``atomseg bench readers``: every test file against what it should give, then 10,000 damaged files.

The test files are those of the folder in ``ATOMSEG_TEST_DATA``; without it only files that this program writes itself
are damaged, and the first table is left out.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atomseg_app.benchmarks.mutations import SIDE_FILES
from atomseg_app.benchmarks.reader_matrix import check_file, load_expected
from atomseg_app.benchmarks.sample_files import write_samples
from atomseg_app.benchmarks.table import cores, print_table
from atomseg_app.io.formats import SUPPORTED

HANG_S = 30.0
_LARGEST_SOURCE = 1 << 20

Result = dict[str, Any]


def run(count: int = 10_000, seed: int = 0) -> bool:
    """Print both tables; returns whether anything failed."""
    data = os.environ.get("ATOMSEG_TEST_DATA")
    wrong = _matrix(Path(data)) if data else False
    return _damaged(count, seed, Path(data) if data else None) or wrong


def _matrix(data: Path) -> bool:
    rows: list[tuple[str, str, str]] = []
    for name, expected in load_expected(data).items():
        outcome, differences = check_file(data, expected)
        rows.append((name, outcome, "; ".join(differences) or "as expected"))
    wrong = sum(row[2] != "as expected" for row in rows)
    print_table(
        f"Reader matrix: {len(rows) - wrong} of {len(rows)} files as expected", ("file", "outcome", "check"), rows
    )
    return wrong > 0


def _damaged(count: int, seed: int, data: Path | None) -> bool:
    with tempfile.TemporaryDirectory(prefix="atomseg-bench-") as name:
        folder = Path(name)
        collect_sources(folder / "sources", data)
        results = list(run_mutations(folder, count, seed))
        failures = [result for result in results if result["outcome"].startswith("FAILED")]
        kept = Path(tempfile.gettempdir()) / "atomseg-bench-readers-failed"
        for path in folder.glob("failed-*"):
            kept.mkdir(exist_ok=True)
            shutil.copy(path, kept)
    title = f"{len(results)} damaged files (seed {seed}): {len(failures)} tracebacks, hangs or excess allocations"
    print_table(title, ("format", "files", "opened", "refused", "failed", "slowest, s", "peak, MB"), _summary(results))
    if failures:
        rows = [(each["number"], each["source"], each["way"], each["outcome"]) for each in failures[:50]]
        print_table(f"Failures (files kept in {kept})", ("number", "file", "damage", "what happened"), rows)
    return bool(failures)


def _summary(results: list[Result]) -> list[tuple[object, ...]]:
    """One row a format and one for all."""
    rows: list[tuple[object, ...]] = []
    titles = {result["number"]: SUPPORTED.get(Path(result["source"]).suffix.lower(), "other") for result in results}
    for title in [*sorted(set(titles.values())), "all"]:
        these = [result for result in results if title in (titles[result["number"]], "all")]
        tally = Counter(result["outcome"].partition(":")[0] for result in these)
        slowest, peak = max(result["seconds"] for result in these), max(result["peak"] for result in these)
        rows.append((title, len(these), tally["opened"], tally["refused"], tally["FAILED"], slowest, peak / 1e6))
    return rows


def collect_sources(folder: Path, data: Path | None) -> None:
    """Fill a folder with files to damage: those written here, and the small test files where there are any."""
    folder.mkdir()
    write_samples(folder)
    for path in sorted(data.rglob("*")) if data is not None else ():
        is_wanted = (
            path.suffix.lower() in {*SUPPORTED, *SIDE_FILES} and path.is_file() and ".zspy" not in str(path.parent)
        )
        if is_wanted and path.stat().st_size <= _LARGEST_SOURCE and not (folder / path.name).exists():
            shutil.copy(path, folder)


def run_mutations(folder: Path, count: int, seed: int, workers: int | None = None) -> Iterator[Result]:
    """Results of the mutations 0..count, in worker processes that are replaced when they hang or crash."""
    workers = workers or cores()
    bounds = [count * index // workers for index in range(workers + 1)]
    results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
    for start, stop in itertools.pairwise(bounds):
        threading.Thread(target=_drive, args=(folder, start, stop, seed, results), daemon=True).start()
    running = workers
    while running:
        result = results.get()
        if result is None:
            running -= 1
        else:
            yield result


def _drive(folder: Path, start: int, stop: int, seed: int, results: queue.SimpleQueue[Result | None]) -> None:
    """Run one range in a worker process, and what is left of it in another after each that hangs or crashes."""
    while start < stop:
        begun = start
        command = [sys.executable, "-m", "atomseg_app.benchmarks.mutations", folder, start, stop, seed]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as worker:
            current: Result = {"number": start, "source": ""}
            stuck = threading.Event()
            watch = _Watch(worker, stuck)
            for line in worker.stdout or ():
                watch.feed()
                current = json.loads(line)
                if "outcome" in current:
                    results.put(current)
                    start = current["number"] + 1
            watch.stop()
        if start < stop:
            reason = "hung" if stuck.is_set() else f"crashed the process (code {worker.returncode})"
            results.put(
                {**current, "number": start, "way": "", "outcome": f"FAILED: {reason}", "seconds": 0.0, "peak": 0}
            )
            for path in (folder / f"work-{begun}").glob(f"{current['source']}*"):
                if path.is_file():
                    shutil.copy(path, folder / f"failed-{start}-{path.name}")
            start += 1
    results.put(None)


class _Watch:
    """Kills a worker that has said nothing for a while."""

    def __init__(self, worker: subprocess.Popen[str], stuck: threading.Event) -> None:
        self._worker, self._stuck = worker, stuck
        self._timer = threading.Timer(HANG_S * 2, self._kill)  # the first words come after the imports
        self._timer.start()

    def feed(self) -> None:
        """Wait anew."""
        self.stop()
        self._timer = threading.Timer(HANG_S, self._kill)
        self._timer.start()

    def stop(self) -> None:
        """Wait no longer."""
        self._timer.cancel()

    def _kill(self) -> None:
        self._stuck.set()
        self._worker.kill()
