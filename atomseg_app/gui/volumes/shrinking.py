"""Large volumes at a lower resolution, for graphics cards and meshes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array

Floats = npt.NDArray[np.float32]


def shrunk(values: Array, step: int) -> Floats:
    """Means of blocks of ``step`` voxels a side as 32-bit floats without NaN; a plane at a time, memory stays small."""
    if step == 1:
        return np.nan_to_num(np.asarray(values, np.float32))
    shape = tuple(size // step for size in values.shape)
    result = np.zeros(shape, np.float32)
    for z in range(shape[0]):
        slab = np.nan_to_num(np.asarray(values[z * step : (z + 1) * step], np.float32))
        slab = slab[:, : shape[1] * step, : shape[2] * step]
        result[z] = slab.reshape(step, shape[1], step, shape[2], step).mean(axis=(0, 2, 4))
    return result


def step_for(shape: tuple[int, ...], texture_limit: int, most_voxels: int) -> int:
    """Smallest block size at which a volume fits a texture and the number of voxels."""
    step = 1
    while max(-(-size // step) for size in shape) > texture_limit or np.prod([s // step for s in shape]) > most_voxels:
        step += 1
    return step
