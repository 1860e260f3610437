"""A surface that is drawn in 3D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Part:
    """A closed surface: ``vertices`` (n, 3) as x, y, z in voxels of the whole volume, ``faces`` (m, 3)."""

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colour: str
    opacity: float
