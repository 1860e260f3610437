"""Runs atomap on one image, in whichever Python has it: ``python peer_atomap.py IN.npz OUT.npz``.

Imports nothing of this project, so that the peer may live in an environment of its own. IN holds ``image`` (y, x) and
either start positions ``xy`` (n, 2) or a ``separation``; OUT gets the refined ``xy``, ``seconds`` and ``peak_bytes``.
"""

import os
import sys
import threading
import time

import numpy as np


def main(source: str, target: str) -> None:
    """Refine by centre of mass, then by 2D Gaussians, as atomap's documentation does."""
    import atomap.api as am  # type: ignore[import-untyped, unused-ignore]
    import hyperspy.api as hs  # type: ignore[import-not-found, unused-ignore]
    import psutil

    with np.load(source) as given:
        image = given["image"].astype(float)
        start = given.get("xy")
        separation = float(given.get("separation", 0.0))
    process = psutil.Process(os.getpid())
    idle = process.memory_info().rss
    peak, done = [idle], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    began = time.perf_counter()
    signal = hs.signals.Signal2D(image)
    if start is None:
        start = am.get_atom_positions(signal, separation=separation)
    lattice = am.Sublattice(start, image=image)
    lattice.find_nearest_neighbors()
    lattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
    lattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
    seconds = time.perf_counter() - began
    done.set()
    xy = np.stack([lattice.x_position, lattice.y_position], axis=1)
    np.savez(target, xy=xy, seconds=seconds, peak_bytes=peak[0] - idle)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
