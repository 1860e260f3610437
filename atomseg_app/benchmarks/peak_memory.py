"""How much memory this process took at most since a moment, above what it had then.

``getrusage`` does not tell: on Linux its maximum begins with that of the process which started this one. The kernel's
own high-water mark is of this process alone, and can be set back.
"""

from __future__ import annotations

from pathlib import Path

import psutil

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_SET_BACK = "5"  # "To reset the peak resident set size": proc(5)


class Peak:
    """The peak from here on."""

    def __init__(self) -> None:
        if psutil.LINUX:
            _CLEAR.write_text(_SET_BACK)
            self._before = int(psutil.Process().memory_info().rss)
        else:
            self._before = highest_bytes()

    def bytes_above_start(self) -> int:
        """Bytes at the highest less those at the start; elsewhere than on Linux those at the highest before."""
        return highest_bytes() - self._before


def highest_bytes() -> int:
    """Highest resident memory of this process in bytes; on Linux since the last :class:`Peak` was begun."""
    if psutil.LINUX:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if psutil.WINDOWS:
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
