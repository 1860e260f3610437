"""Runs abTEM on one crystal, in whichever Python has it: ``python peer_abtem.py IN.json OUT.npz``.

Imports nothing of this project, so that the peer may live in an environment of its own and shares no crystallography
with it: ASE expands the asymmetric unit and cuts the specimen. IN holds ``space_group``, ``setting``, ``cell`` (Å,
degrees), ``symbols``, ``sites``, ``cut`` (three fractional vectors: image x, image y, beam), ``repeats`` of the cut
cell, and ``thicknesses`` in such cells. OUT gets ``images`` (thicknesses, y, x) of one cut cell, ``size_pm`` (x, y) of
that cell, ``alone`` what one atom of each of ``symbols`` scatters onto the detector, and ``seconds`` of processor time.
"""

import json
import sys
import time
import warnings

import numpy as np

_ENERGY_EV, _APERTURE_MRAD, _DETECTOR_MRAD = 200e3, 21.4, (60.0, 120.0)
_SAMPLING_A, _THERMAL_A, _PAIRS = 0.1, 0.085, 4


def main(source: str, target: str) -> None:
    """Multislice with frozen phonons, displacements in pairs of opposite sign so that no column is moved on average."""
    warnings.simplefilter("ignore")
    import abtem
    from ase.build import cut
    from ase.spacegroup import crystal

    abtem.config.set({"diagnostics.progress_bar": False})
    began = time.process_time()
    with open(source, encoding="utf-8") as file:
        given = json.load(file)
    whole = crystal(
        given["symbols"], given["sites"], spacegroup=given["space_group"], setting=given["setting"],
        cellpar=given["cell"],
    )  # fmt: skip
    cell = cut(whole, *given["cut"])  # type: ignore[no-untyped-call, unused-ignore]
    size, vectors = cell.cell.lengths(), cell.cell[:]
    if not np.allclose(vectors @ vectors.T, np.diag(size**2), atol=1e-6) or np.linalg.det(vectors) < 0:
        raise ValueError(f"The cut cell is not rectangular and right-handed: {vectors}.")
    cell.set_cell(np.diag(size), scale_atoms=True)
    specimen = cell * (*given["repeats"], max(given["thicknesses"]))
    rng = np.random.default_rng(12)
    images = []
    for _ in range(_PAIRS):
        motion = rng.normal(0, _THERMAL_A, specimen.positions.shape)
        for sign in (1, -1):
            moved = specimen.copy()
            moved.positions += sign * motion
            moved.wrap()
            images.append(_scan(abtem, moved, size, given["thicknesses"]))  # type: ignore[no-untyped-call]
    alone = [_alone(symbol) for symbol in given["symbols"]]
    np.savez(
        target, images=np.mean(images, axis=0), size_pm=size[:2] * 100, alone=alone,
        seconds=time.process_time() - began,
    )  # fmt: skip


def _alone(symbol: str) -> float:
    """Scattering of one atom onto the detector, relative: |f|^2 summed over its angles. Thermal motion moves intensity
    from the Bragg beams to between them and loses none.
    """
    from abtem.core.energy import energy2wavelength
    from abtem.parametrizations import KirklandParametrization

    angle = np.linspace(*_DETECTOR_MRAD, 600) * 1e-3
    k = angle / energy2wavelength(_ENERGY_EV)
    f = KirklandParametrization().get_function("scattering_factor", symbol)(k**2)
    return float(np.sum(f**2 * angle) * (angle[1] - angle[0]))


def _scan(abtem, specimen, size, thicknesses):  # type: ignore[no-untyped-def]  # abTEM and ASE carry no types
    """HAADF images (thicknesses, y, x) of one cut cell at the probe's Nyquist sampling."""
    potential = abtem.Potential(
        specimen, sampling=_SAMPLING_A, slice_thickness=size[2] / 2, parametrization="kirkland", projection="infinite",
        exit_planes=tuple(2 * cells - 1 for cells in thicknesses),
    )  # fmt: skip
    probe = abtem.Probe(energy=_ENERGY_EV, semiangle_cutoff=_APERTURE_MRAD)
    probe.grid.match(potential)
    points = [int(np.ceil(length / probe.aperture.nyquist_sampling)) for length in size[:2]]
    scan = abtem.GridScan(start=(0, 0), end=tuple(size[:2]), gpts=points, endpoint=False)
    detector = abtem.AnnularDetector(*_DETECTOR_MRAD)
    found = probe.scan(potential, scan=scan, detectors=detector).compute(scheduler="single-threaded")
    return np.swapaxes(np.asarray(found.array), -1, -2)  # abTEM's first axis is x


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
