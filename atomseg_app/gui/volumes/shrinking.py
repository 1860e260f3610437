"""Large volumes at a lower resolution, for graphics cards and meshes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array

Floats = npt.NDArray[np.float32]


def shrunk(values: Array, step: int) -> Floats:
    """Means of blocks of ``step`` voxels a side as 32-bit floats, what is not finite as 0; memory stays small."""
    if step == 1:
        return _finite(np.asarray(values, np.float32))
    shape = tuple(size // step for size in values.shape)
    result = np.zeros(shape, np.float32)
    for z in range(shape[0]):
        slab = _finite(np.asarray(values[z * step : (z + 1) * step], np.float32))
        slab = slab[:, : shape[1] * step, : shape[2] * step]
        result[z] = slab.reshape(step, shape[1], step, shape[2], step).mean(axis=(0, 2, 4))
    return result


def step_for(shape: tuple[int, ...], texture_limit: int, most_voxels: int) -> int:
    """Smallest block size at which a volume fits a texture and the number of voxels."""
    step = 1
    while max(-(-size // step) for size in shape) > texture_limit or np.prod([s // step for s in shape]) > most_voxels:
        step += 1
    return step


def _finite(values: Floats) -> Floats:
    """What is no number, or has no end, as 0: a slab of infinities would be all that is seen."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
