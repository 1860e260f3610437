"""*Resolution from halves* and *Compare with a reference*: what can be trusted in a volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.operations import CompareVolumes, HalvesAgree, Reconstruct
from atomseg_app.tomography.quality import FourierShells, fourier_shells, nrmse, psnr_db, ssim
from atomseg_app.tomography.reconstruct import reconstruct

_FEWEST = 4


def halves_agree(series: TiltSeries, settings: HalvesAgree, report: Report) -> Volume:
    """Mean of the volumes of even and odd views, in order of angle, with their Fourier shell correlation as metadata.

    The preview ``FSC`` is the correlation over frequency. Raises UserError for fewer than 4 views, and what
    :func:`~atomseg_app.tomography.reconstruct.reconstruct` raises.
    """
    used = series.used[np.argsort(np.asarray(series.tilt_deg)[series.used], kind="stable")]
    if len(used) < _FEWEST:
        raise UserError(f"Halves need {_FEWEST} views or more in use, not {len(used)}.")
    asked = Reconstruct.model_validate(settings.model_dump())
    volumes = []
    for half in (0, 1):
        others = tuple(sorted({*series.excluded, *(int(view) for view in used[1 - half :: 2])}))
        part = report.part(0.475 * half, 0.475 * (half + 1))
        volume = reconstruct(replace(series, excluded=others), asked, part)
        asked = asked.model_copy(update={"iterations": volume.metadata.get("iterations", asked.iterations)})
        volumes.append(volume)
    report.facts.notes[:] = dict.fromkeys(report.facts.notes)  # both halves say the same of the series
    report.progress(0.95, "correlating")
    shells = fourier_shells(volumes[0].values, volumes[1].values)
    report.preview("FSC", shells.correlation)
    facts = shell_facts(shells, volumes[0].pixel_size_nm)
    report.log(_sentence(facts))
    mean = (volumes[0].values + volumes[1].values) / 2
    return replace(volumes[0], values=mean, metadata={**volumes[0].metadata, **facts})


def compare(volume: Volume, reference: Volume, settings: CompareVolumes, report: Report) -> Volume:
    """Difference of a volume from a reference of its shape, with PSNR, SSIM, NRMSE and Fourier shells as metadata."""
    if volume.shape != reference.shape:
        raise UserError(f"The volume is {volume.shape} voxels, the reference {reference.shape}; crop or bin one first.")
    found, truth = (np.asarray(one.values, np.float32) for one in (volume, reference))
    if settings.scale:
        slope, level = np.polyfit(found.reshape(-1).astype(np.float64), truth.reshape(-1), 1)
        found = (slope * found + level).astype(np.float32)
    report.progress(0.2, "comparing")
    shells = fourier_shells(truth, found)
    report.preview("FSC", shells.correlation)
    facts: dict[str, object] = {"psnr_db": psnr_db(truth, found), "nrmse": nrmse(truth, found)}
    report.progress(0.6, "comparing")
    if min(size for size in truth.shape if size > 1) >= 7:
        facts["ssim"] = ssim(truth, found)
    report.log(", ".join(f"{name} {value:.4g}" for name, value in facts.items()))
    facts |= shell_facts(shells, volume.pixel_size_nm)
    report.log(_sentence(facts))
    return replace(volume, values=found - truth, metadata={**volume.metadata, **facts})


def shell_facts(shells: FourierShells, sizes_nm: tuple[float | None, ...]) -> dict[str, object]:
    """Correlation and where it falls below 0.5, 0.143 and half a bit, in voxels and, where voxels are cubes, in nm."""
    facts: dict[str, object] = {"fsc": _rounded(shells.correlation), "fsc_cycles_per_voxel": _rounded(shells.frequency)}
    known = [size for size in sizes_nm if size is not None]
    cube = known[0] if len(known) == len(sizes_nm) and max(known) < 1.001 * min(known) else None
    for name, threshold in (("0.5", 0.5), ("0.143", 0.143), ("half_bit", shells.half_bit())):
        crossing = shells.crossing(threshold)
        facts[f"resolution_{name}_voxels"] = None if crossing is None else round(1 / crossing, 3)
        if cube is not None:
            facts[f"resolution_{name}_nm"] = None if crossing is None else round(cube / crossing, 5)
    return facts


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _sentence(facts: dict[str, object]) -> str:
    """The resolution in words."""
    words = []
    for name in ("0.5", "0.143", "half_bit"):
        nm, voxels = facts.get(f"resolution_{name}_nm"), facts[f"resolution_{name}_voxels"]
        where = "never below" if voxels is None else f"{voxels} voxels" + (f" ({nm} nm)" if nm else "")
        words.append(f"{name.replace('_', ' ')}: {where}")
    return "Fourier shell correlation falls below " + "; ".join(words) + "."
