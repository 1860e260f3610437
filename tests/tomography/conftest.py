"""Kernels are compiled once for the whole run: their cache is not that of a single test's home."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(platformdirs.user_cache_dir("AtomSeg-tests", appauthor=False))))
