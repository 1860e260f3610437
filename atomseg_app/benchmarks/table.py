"""The one way benchmarks print: a titled table and a line that says on which machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from atomseg_app import __version__


def machine() -> str:
    """Version of the program, processor, cores and memory this process may use, system and Python."""
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    return (
        f"AtomSeg {__version__}, {_processor()}, {cores()} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Model name of the processor where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under a title, numbers to four figures, and the machine below it."""
    cells = [[str(name) for name in header], *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{title}\n", *lines, f"\n{machine()}", sep="\n", flush=True)  # noqa: T201 - a benchmark's output


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
