"""*Take noise out of projections*: each view as all views of a series together explain it, corrected by a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app import devices
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.networks.card import find_model
from atomseg_app.networks.store import load_model
from atomseg_app.networks.wedge_projections import WedgeProjections
from atomseg_app.operations import Report
from atomseg_app.tomography.directions import round_one_axis
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.missing_wedge import different_angles
from atomseg_app.tomography.operations import DenoiseTilts
from atomseg_app.tomography.parts import straightened
from atomseg_app.tomography.reconstruct import check_views
from atomseg_app.tomography.series_doubts import background_levels, displaced
from atomseg_app.tomography.views import views_along_y
from atomseg_app.tomography.warp import Warp
from atomseg_app.tomography.watched_beam import WatchedBeam, watched

Floats = npt.NDArray[np.float32]

USUAL = "wedge-projections"
FEWEST = 10
"""Views at different angles: no network was trained on fewer."""
_BLOCK = 16  # slices that the network is given at once
_SEEN = 0.999  # of a pixel, turned and back: others are left as they were measured


def denoise_tilts(series: TiltSeries, settings: DenoiseTilts, report: Report) -> TiltSeries:
    """Series of float32 views with little noise, in the places, order and alignment of the measured ones.

    Excluded views stay as they are. Raises UserError for fewer than ten angles, views in any direction, views that say
    nothing, a model that is missing or of another kind; Cancelled.
    """
    report.progress(0, "looking at the views")
    geometry = geometry_of(round_one_axis(series, report))
    _check(geometry)
    check_views(series, report)
    if doubt := displaced(series):
        report.note(doubt)
    device = devices.choose(settings.device, report)
    device = devices.choose("cpu", report) if device.type == "mps" else device  # rays are no sparse matrices there
    network, name = _network(settings.model, device)
    levels = background_levels(series, settings.background, report)
    measured = views_along_y(series, report)
    offset = np.float32(0) if levels is None else levels.astype(np.float32)[:, None, None]
    quiet = _quiet(measured - offset, geometry, network, device, report) + offset
    values = np.array(series.values, np.float32)
    values[series.used] = quiet if series.tilt_axis == "y" else quiet.transpose(0, 2, 1)
    report.note(
        f"Noise was taken out by {name}: each view is what all views together say of it, not what was measured alone. "
        "Align first; what is left of misalignment blurs."
    )
    return replace(series, values=values)


def _check(geometry: Geometry) -> None:
    if not geometry.is_single_axis:
        raise UserError(
            "The views were tilted in several directions (Euler angles), and their noise cannot be taken out slice by "
            "slice; reconstruct the series instead."
        )
    count = len(different_angles(geometry.tilt_deg))
    if count < FEWEST:
        raise UserError(
            f"Taking noise out of projections needs {FEWEST} views at different angles, and {count} are in use; "
            "include more views."
        )


def _network(name: str | None, device: torch.device) -> tuple[WedgeProjections, str]:
    """Raises UserError where the model is missing or gives no views."""
    module, card = load_model(find_model(name or USUAL), device)
    if not isinstance(module, WedgeProjections):
        raise UserError(
            f"The model {card.name!r} ({card.title}) gives no projections; name one that takes noise out of them."
        )
    return module.eval(), card.name


def _quiet(
    views: Floats, geometry: Geometry, network: WedgeProjections, device: torch.device, report: Report
) -> Floats:
    """Views (view, y, x) without noise; straightened meanwhile where they are turned or moved along the axis."""
    turned = Warp.is_needed(geometry)
    straight = straightened(views, geometry)[0] if turned else views
    tilts = np.asarray(geometry.tilt_deg, np.float64)
    order = np.argsort(tilts, kind="stable")
    slices = torch.from_numpy(np.ascontiguousarray(straight[order].transpose(1, 0, 2)))
    beam = WatchedBeam(
        torch.from_numpy(tilts[order]), slices.shape[-1], device,
        torch.from_numpy(np.asarray(geometry.t_shift_px, np.float64)[order]), report,
    )  # fmt: skip
    found = np.empty_like(straight)
    with torch.no_grad(), watched([network], report):
        for first in range(0, len(slices), _BLOCK):
            report.progress(first / len(slices), f"slice {first} of {len(slices)}")
            part = network.denoise(slices[first : first + _BLOCK].to(device), beam).cpu().numpy()
            found[order, first : first + _BLOCK] = part.transpose(1, 0, 2)
    if not turned:
        return found
    report.note("The views were turned to the axis and back, which softens sharp edges a little.")
    warp = Warp(geometry)
    known = warp(Warp(geometry).undone(np.ones_like(views))) > _SEEN
    return np.where(known, warp(found), views)
