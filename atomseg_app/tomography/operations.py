"""Operations of tomography, declared without torch or numba: what forms, commands and histories are made from."""

from __future__ import annotations
