"""*Fill the missing wedge*: from a tilt series to a volume, its slices filled block by block by a network.

Networks work slice by slice and take each view's shift across the axis; views that are turned in their plane or moved
along the axis are straightened once. What a network says is inferred, and the result says where.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import torch

from atomseg_app import devices, places
from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.tomography.directions import round_one_axis
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.missing_wedge import different_angles, gaps_of, missing_text
from atomseg_app.tomography.operations import FillWedge
from atomseg_app.tomography.reconstruct import check_views, new_volume, voxel_size_nm
from atomseg_app.tomography.series_doubts import LEVELS_KEY, background_levels, displaced
from atomseg_app.tomography.spot_width import spot_width
from atomseg_app.tomography.training_range import distance_of, range_notes
from atomseg_app.tomography.watched_beam import WatchedBeam, watched
from atomseg_app.tomography.wedge_methods import method_of
from atomseg_app.tomography.wedge_spots import NARROW_PX, as_spots, with_measured_width
from atomseg_app.tomography.wedge_uncertainty import CALIBRATION, Ensemble
from atomseg_app.tomography.wedge_views import BLOCK, Misfit, WedgeViews

Floats = npt.NDArray[np.float32]

FEWEST = 10
"""Views at different angles: no network was trained on fewer."""
_LOOKED_AT = 64
"""Slices in which single atoms are looked for."""
_ARRAYS = 80  # times the memory of a slice that a network takes to fill it
_SHARE = 0.5  # of the memory that is free
_NO_MEMORY = ("out of memory", "allocate memory", "not enough memory", "bad_alloc", "could not create")


def fill_wedge(series: TiltSeries, settings: FillWedge, report: Report) -> Volume:
    """Volume (z, y, x) of grey levels per voxel, as wide and as deep as the detector is across the tilt axis.

    Metadata: ``r_factor`` of its projections against the used views and ``r_factor_by_view`` at ``r_factor_tilt_deg``,
    ``inferred_from_deg`` and ``inferred_to_deg`` of what was not measured. With ``uncertainty`` a volume of standard
    deviations comes beside it. Previews: ``slice`` (z, x). Raises UserError for fewer than ten angles, views in any
    direction, views that say nothing, a model that is missing; Cancelled.
    """
    report.progress(0, "looking at the views")
    series = round_one_axis(series, report)
    geometry = geometry_of(series)
    _check(geometry)
    check_views(series, report)
    if settings.method == "self" and settings.uncertainty:
        raise UserError("Learning from the series alone gives no uncertainty; leave it out, or choose another method.")
    spots = settings.atoms or settings.spot_px is not None
    if spots and settings.uncertainty:
        raise UserError("A volume of spots comes without uncertainty; leave one of both out.")
    device = _device(settings, report)
    levels = background_levels(series, settings.background, report)
    if doubt := displaced(series):
        report.note(doubt)
    views = WedgeViews(series, geometry, levels, report)
    run = _Run(views, settings, device, report)
    run.fill()
    if spots:
        run.make_spots(settings.spot_px)
    else:
        run.hint_at_atoms()
    gaps = gaps_of(geometry.tilt_deg)
    _tell(series, settings, run, report)
    facts = {key: series.metadata[key] for key in ("kV", "detector") if key in series.metadata}
    facts |= {
        **run.misfit.facts(views.tilt_deg), "wedge_method": settings.method, "wedge_models": run.models,
        "training_distance": round(run.distance[0], 3),
        "inferred_from_deg": [round(gap.start, 3) for gap in gaps],
        "inferred_to_deg": [round(gap.stop, 3) for gap in gaps],
    }  # fmt: skip
    if levels is not None:
        facts[LEVELS_KEY] = [round(float(level), 6) for level in levels]
    source, size = Source(series.source.path), voxel_size_nm(series)
    if run.spread is not None:
        report.beside("uncertainty", Volume(run.spread, size, source, {"quantity": "uncertainty"}, series.history))
    return Volume(run.volume, size, source, facts, series.history)


def _check(geometry: Geometry) -> None:
    if not geometry.is_single_axis:
        raise UserError(
            "The views were tilted in several directions (Euler angles), and no wedge is missing as after tilting "
            "round one axis; reconstruct the series instead."
        )
    count = len(different_angles(geometry.tilt_deg))
    if count < FEWEST:
        raise UserError(
            f"Filling a missing wedge needs {FEWEST} views at different angles, and {count} are in use; reconstruct "
            "the series instead, or include more views."
        )


class _Run:
    """One filling: the answer, its spread where asked for, and how it fits the views."""

    def __init__(self, views: WedgeViews, settings: FillWedge, device: torch.device, report: Report) -> None:
        self._views, self._settings, self._report, self._device = views, settings, report, device
        self._method = None if settings.method == "self" else method_of(settings, device)
        self.models = "" if self._method is None else self._method.models
        self.cards = () if self._method is None else self._method.cards
        shape = (views.width, views.slices, views.width)
        self.volume = new_volume(shape)
        self.spread = new_volume(shape) if settings.uncertainty else None
        count = len(views.tilt_deg)
        self.misfit = Misfit(np.zeros(count), np.zeros(count))
        self._done = 0
        self._distances: list[tuple[float, str]] = []
        self._middle: tuple[torch.Tensor, ParallelBeam, torch.Tensor] | None = None

    def fill(self) -> None:
        """Fill all slices. Raises Cancelled."""
        report, views = self._report, self._views
        if self._method is None:
            self._learn()
            return
        beam = WatchedBeam(
            torch.from_numpy(views.tilt_deg), views.width, self._device, torch.from_numpy(views.shift_px), report
        )
        ensemble = None
        if self.spread is not None:
            ensemble = Ensemble(self._method.fill, beam, report, CALIBRATION[self._settings.method])
        with torch.no_grad(), watched(self._method.modules, report):
            for slab, part in views:
                self._distances.append(distance_of(part, beam))
                for start in _from_the_middle(len(part), self._block_size()):
                    self._fill_block(slab.start, part, start, beam, ensemble)
                self._keep_middle(slab, part, beam)

    @property
    def distance(self) -> tuple[float, str]:
        """Median distance of the slabs from the training families, and what differs most there."""
        return sorted(self._distances)[len(self._distances) // 2] if self._distances else (0.0, "")

    def _fill_block(
        self, first: int, part: torch.Tensor, block: slice, beam: WatchedBeam, ensemble: Ensemble | None
    ) -> None:
        """Fill some slices of a slab that begins at ``first``; in halves where memory runs out."""
        assert self._method is not None
        report, slices = self._report, self._views.slices
        report.progress(self._done / slices, f"slices {first + block.start} to {first + block.stop - 1} of {slices}")
        views = part[block].to(self._device)
        try:
            answer = self._method.fill(views, beam)
            spread = None if ensemble is None else ensemble.spread(views, answer)
        except (RuntimeError, MemoryError) as problem:
            if not _is_memory(problem):
                raise
            answer, spread = None, None
        if answer is None:
            self._in_halves(first, part, block, beam, ensemble)
            return
        self.misfit.add(views, beam.project(answer))
        self._put(slice(first + block.start, first + block.stop), answer, spread)

    def _in_halves(
        self, first: int, part: torch.Tensor, block: slice, beam: WatchedBeam, ensemble: Ensemble | None
    ) -> None:
        if block.stop - block.start == 1:
            width = self._views.width
            raise UserError(
                f"Memory does not hold the work on a single slice of {width} x {width} voxels; bin the series, or "
                "close other programs."
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        middle = (block.start + block.stop) // 2
        self._report.note(f"Memory ran out for {block.stop - block.start} slices at once; they were filled in halves.")
        for half in (slice(block.start, middle), slice(middle, block.stop)):
            self._fill_block(first, part, half, beam, ensemble)

    def _put(self, where: slice, answer: torch.Tensor, spread: torch.Tensor | None) -> None:
        self._done += where.stop - where.start
        self.volume[:, where] = answer.cpu().numpy().transpose(1, 0, 2)
        if spread is not None and self.spread is not None:
            self.spread[:, where] = spread.cpu().numpy().transpose(1, 0, 2)
        if where.start <= self._views.slices // 2 < where.stop:
            self._report.preview("slice", np.ascontiguousarray(self.volume[:, self._views.slices // 2]))

    def _learn(self) -> None:
        """Fill by a network that learns from the views themselves, on the CPU."""
        from atomseg_app.tomography.self_supervised import fill_self

        views, report = self._views.all(), self._report
        tilts, shifts = torch.from_numpy(self._views.tilt_deg), torch.from_numpy(self._views.shift_px)
        beam = WatchedBeam(tilts, self._views.width, "cpu", shifts, report)
        with unfinished_work(views, beam) as folder:
            answer = fill_self(views, beam, report, folder=folder, minutes=self._settings.minutes)
        for start in range(0, len(views), BLOCK):
            block = slice(start, start + BLOCK)
            self.misfit.add(views[block], beam.project(answer[block]))
        self._put(slice(0, len(views)), answer, None)

    def _keep_middle(self, slab: slice, part: torch.Tensor, beam: ParallelBeam) -> None:
        """Keep slices round the middle with their views, of the slab that holds it."""
        middle = self._views.slices // 2
        if slab.start <= middle < slab.stop:
            first = max(slab.start, min(middle - _LOOKED_AT // 2, slab.stop - _LOOKED_AT))
            kept = slice(first, min(first + _LOOKED_AT, slab.stop))
            slices = np.ascontiguousarray(self.volume[:, kept].transpose(1, 0, 2))
            views = part[kept.start - slab.start : kept.stop - slab.start]
            self._middle = views.clone(), beam, torch.from_numpy(slices)

    def hint_at_atoms(self) -> None:
        """Say so where the middle slices look like single atoms, which are placed better by spots. Raises Cancelled."""
        if self._middle is None:
            return
        views, beam, slices = self._middle
        found = spot_width(views, beam, slices)
        if found.atomic and found.sigma_px >= NARROW_PX:
            self._report.note(
                f"The views look like those of single atoms ({found.spots} spots with a standard deviation of "
                f"{found.sigma_px:.2f} px); with 'atoms' the volume is made of such spots, which places them better."
            )

    def make_spots(self, spot_px: float | None) -> None:
        """Turn the answer into one of atoms' spots, as wide as the views say where no width is given.

        Raises Cancelled.
        """
        views, report = self._views.all(), self._report
        beam = WatchedBeam(
            torch.from_numpy(self._views.tilt_deg), self._views.width, self._device,
            torch.from_numpy(self._views.shift_px), report,
        )  # fmt: skip
        start = torch.from_numpy(np.ascontiguousarray(self.volume.transpose(1, 0, 2)))
        with torch.no_grad():
            given = views.to(self._device), beam, start.to(self._device)
            answer = with_measured_width(*given, report) if spot_px is None else as_spots(*given, spot_px, report)
        if answer is None:
            return
        self.misfit = Misfit(np.zeros_like(self.misfit.left), np.zeros_like(self.misfit.total))
        for first in range(0, len(views), BLOCK):
            block = slice(first, first + BLOCK)
            self.misfit.add(views[block].to(self._device), beam.project(answer[block]))
        self._put(slice(0, len(views)), answer, None)
        if spot_px is not None:
            report.note(f"The volume is made of spots with a standard deviation of {spot_px:g} px, as atoms have.")

    def _block_size(self) -> int:
        """Slices that memory holds at once, at most the usual number."""
        one = 4 * _ARRAYS * self._views.width**2
        if self._device.type == "cuda":
            free = torch.cuda.mem_get_info(self._device)[0]
            return max(1, min(4 * BLOCK, int(_SHARE * free / one)))
        return max(1, min(BLOCK, int(_SHARE * psutil.virtual_memory().available / one)))


@contextmanager
def unfinished_work(views: torch.Tensor, beam: ParallelBeam) -> Iterator[Path]:
    """Folder of what was learned from these views: what was interrupted goes on from there; removed at the end."""
    from atomseg_app.tomography.self_supervised import VERSION

    content = hashlib.sha256(views.numpy().tobytes())
    content.update(str(VERSION).encode())
    content.update(beam.tilt_deg.numpy().tobytes() + beam.shift_px.numpy().tobytes())
    folder = places.cache_folder() / "wedge-self" / content.hexdigest()[:24]
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _device(settings: FillWedge, report: Report) -> torch.device:
    """CUDA or the CPU, on which alone a network learns from the series; rays are no sparse matrices elsewhere."""
    device = devices.choose("cpu" if settings.method == "self" else settings.device, report)
    return devices.choose("cpu", report) if device.type == "mps" else device


def _from_the_middle(count: int, size: int) -> list[slice]:
    """Blocks of a slab, the one in the middle first, as that is what is looked at meanwhile."""
    blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    return sorted(blocks, key=lambda block: abs(block.start + block.stop - count))


def _is_memory(problem: BaseException) -> bool:
    return isinstance(problem, MemoryError) or any(sign in str(problem).lower() for sign in _NO_MEMORY)


def _tell(series: TiltSeries, settings: FillWedge, run: _Run, report: Report) -> None:
    """Notes for the history: what is inferred, by what, and how far the input is from the training data."""
    gaps = gaps_of(geometry_of(series).tilt_deg)
    by = f"by {run.models}" if run.models else "by a network that learned from this series alone"
    if gaps:
        share = 100 * sum(gap.width_deg for gap in gaps) / 180
        report.note(
            f"Inferred, not measured: {missing_text(gaps)}, {share:.0f} % of all directions, filled {by} "
            f"(method {settings.method})."
        )
    else:
        report.note(f"The views leave no wedge out; fine detail between them is inferred {by}.")
    for card in run.cards:
        if not card.training.converged:
            report.note(
                f"The loss of {card.name} was still falling when its training ended "
                f"({card.training.hours_in_all:.2g} hours, {card.training.samples_in_all:,} slices)."
            )
    for text in range_notes(*run.distance):
        report.note(text)
