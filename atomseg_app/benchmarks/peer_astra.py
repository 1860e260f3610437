"""Runs the ASTRA toolbox on slices, in whichever Python has it: ``python peer_astra.py IN.npz OUT.npz``.

Imports nothing of this project, so that the peer may live in an environment of its own. IN holds ``views``
(view, y, x), ``tilt_deg`` and ``iterations``; OUT gets the ``volume`` (z, y, x) of SIRT at or above 0 and its
``seconds`` on the clock and ``cpu_seconds``.
"""

import sys
import time

import numpy as np


def main(source: str, target: str) -> None:
    """Reconstruct slice after slice with the linear projector of the CPU, as its documentation does."""
    import astra  # type: ignore[import-not-found, unused-ignore]

    with np.load(source) as given:
        views, tilt_deg, iterations = given["views"], given["tilt_deg"], int(given["iterations"])
    bins = views.shape[2]
    rays = astra.create_proj_geom("parallel", 1.0, bins, np.deg2rad(tilt_deg))
    voxels = astra.create_vol_geom(bins, bins)
    projector = astra.create_projector("linear", rays, voxels)
    volume = np.empty((bins, views.shape[1], bins), np.float32)
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(views.shape[1]):
        sinogram = astra.data2d.create("-sino", rays, np.ascontiguousarray(views[:, number]))
        image = astra.data2d.create("-vol", voxels)
        settings = astra.astra_dict("SIRT")
        settings.update(ProjectorId=projector, ProjectionDataId=sinogram, ReconstructionDataId=image)
        settings["option"] = {"MinConstraint": 0.0}
        algorithm = astra.algorithm.create(settings)
        astra.algorithm.run(algorithm, iterations)
        volume[:, number] = astra.data2d.get(image)[::-1]  # its rows run against z
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([sinogram, image])
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    np.savez(target, volume=volume, seconds=seconds, cpu_seconds=cpu_seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
