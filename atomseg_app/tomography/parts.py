"""The course of a reconstruction: parts of the volume that advance together, what is shown of them, when they end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from atomseg_app.operations import Report
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.rays.kernels import PAD
from atomseg_app.tomography import stopping
from atomseg_app.tomography.algorithms import algorithm_of, fixed_count, needs_noise, reach, relaxation_of, usual_count
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.noise import noise_rms
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.problem import Floats, Indices, Limits, Problem
from atomseg_app.tomography.problems import BlockProblem, StackProblem, VolumeProblem
from atomseg_app.tomography.turned import TurnedProblem
from atomseg_app.tomography.warp import Warp

_PREVIEW_S = 0.3


@dataclass
class Parts:
    """Parts of a slab of the volume: the iterates of each, its image, and where images show slices."""

    projector: BlockProjector | None
    images: list[Floats]
    steps: list[Iterator[Iterate]]
    total: float
    first_slice: int
    slices: int

    def put(self, volume: Floats) -> None:
        """Copy the images into a slab of the volume, letting go of each."""
        self.steps.clear()
        if self.projector is None:
            volume[...] = self.images.pop()
            return
        for number, start in enumerate(self.projector.starts):
            block = self.images.pop(0) if self.images[0].ndim == 3 else self.images[0][number]
            self.projector.put_volume(block, volume, start)

    def slice_of(self, number: int, image: Floats, wanted: int) -> Floats | None:
        """Slice (z, x) of the whole volume, if it is in this image, part ``number``."""
        place = wanted - self.first_slice
        if not 0 <= place < self.slices:
            return None
        if self.projector is None:
            return np.array(image[:, place])
        block, lane = divmod(place, self.projector.lanes)
        if image.ndim == 4:
            image, number = image[block], block
        return np.array(image[PAD:-PAD, PAD:-PAD, lane]) if number == block else None


def parts_of(views: Floats, geometry: Geometry, settings: Reconstruct, course: Course, first_slice: int) -> Parts:
    """Parts of the slab that these views (view, y, x) show, with their first images and the trial's iteration count."""
    every = np.arange(geometry.views)
    limits = limits_of(geometry, settings)
    relaxation = relaxation_of(settings)
    algorithm = algorithm_of(settings, geometry.views, course.noise_of(views))
    total, slices = max(float(np.abs(views).sum(dtype=np.float64)), 1e-30), views.shape[1]
    on_device = course.on_device(views, geometry, first_slice)
    if on_device is not None:
        return on_device
    problem: Problem
    turned = geometry.is_single_axis and Warp.is_needed(geometry)
    if course.iterations is None:
        course.iterations = _judged(*(straightened(views, geometry) if turned else (views, geometry)), settings, course)
    if not geometry.is_single_axis or (turned and reach(settings.algorithm) == "neighbours"):
        problem = VolumeProblem(geometry, every, limits, relaxation)
        image = problem.new_image()
        return Parts(None, [image], [algorithm(problem, views, image)], total, first_slice, slices)
    if turned:
        problem = TurnedProblem(geometry, every, limits, relaxation)
        image = problem.new_image()
        return Parts(problem.projector, [image], [algorithm(problem, views, image)], total, first_slice, slices)
    projector = BlockProjector(geometry)
    block = BlockProblem(projector, every, limits, relaxation)
    if reach(settings.algorithm) == "neighbours":
        problem = StackProblem(block)
        measured, image = problem.new_data(), problem.new_image()
        for number, start in enumerate(projector.starts):
            measured[number] = projector.take_views(views, start)
        return Parts(projector, [image], [algorithm(problem, measured, image)], total, first_slice, slices)
    images = [projector.image() for _ in projector.starts]
    steps = [
        algorithm(block, projector.take_views(views, start), image)
        for start, image in zip(projector.starts, images, strict=True)
    ]
    return Parts(projector, images, steps, total, first_slice, slices)


def limits_of(geometry: Geometry, settings: Reconstruct) -> Limits:
    """What the settings allow an image to be."""
    return Limits(0.0 if settings.positivity else -np.inf, support_of(geometry, settings))


def support_of(geometry: Geometry, settings: Reconstruct) -> npt.NDArray[np.bool_] | None:
    """The ellipse (z, x) that touches the sides of a slice, if asked for."""
    if settings.support == "none":
        return None
    depth, _, width = geometry.volume_zyx
    z, x = (2 * (np.arange(size) + 0.5) / size - 1 for size in (depth, width))
    return z[:, None] ** 2 + x[None] ** 2 <= 1


def straightened(views: Floats, geometry: Geometry) -> tuple[Floats, Geometry]:
    """Views neither turned nor moved along the axis, for methods that do not take such views, and their geometry."""
    alignment = geometry.alignment
    assert alignment is not None
    nothing = (0.0,) * geometry.views
    straight = replace(alignment, shift_y_px=nothing, rotation_deg=nothing, axis_rotation_deg=0.0)
    return Warp(geometry).undone(views), geometry.with_alignment(straight)


def _judged(views: Floats, geometry: Geometry, settings: Reconstruct, course: Course) -> int:
    """Iterations that explain views left out best, in the block of slices with the strongest signal."""
    if settings.stop != "held-out" or geometry.views < stopping.FEWEST_VIEWS or not geometry.is_single_axis:
        return usual_count() if settings.stop == "held-out" else stopping.MOST
    projector, held = BlockProjector(geometry), stopping.held_out(geometry.tilt_deg)
    sums = np.add.reduceat(np.abs(views).sum(axis=(0, 2)), list(projector.starts))
    start = projector.starts[int(np.argmax(sums))]
    rest: Indices = np.setdiff1d(projector.every_view, held)
    trial = BlockProblem(projector, rest, limits_of(geometry, settings), relaxation_of(settings))
    measured, shown, image = projector.take_views(views, start), projector.sinogram(), projector.image()
    wanted = measured[held].copy()

    def misfit(found: Floats) -> float:
        projector.forward(found, shown, held)
        return float(np.square(shown[held] - wanted).sum(dtype=np.float64))

    algorithm = algorithm_of(settings, len(rest), course.noise_of(views))
    count = stopping.best_count(algorithm(trial, measured, image), misfit, course.report.part(0, course.trial_share))
    if count < stopping.FEWEST:
        course.report.note(
            f"Views left out of a trial were explained no better after {count} iterations, which speaks for a series "
            f"that is not aligned, or for its axis in the other direction; {stopping.FEWEST} iterations were made."
        )
        return stopping.FEWEST
    last = min(start + projector.lanes, views.shape[1]) - 1
    course.report.log(
        f"{count} iterations, as a trial on slices {start} to {last} with {len(held)} views left out found best."
    )
    return count


@dataclass
class Course:
    """How a reconstruction goes: its iterations, what it shows, and what it found."""

    settings: Reconstruct
    geometry: Geometry
    report: Report
    iterations: int | None = field(init=False)
    stopped: bool = field(init=False, default=False)
    trial_share: float = field(init=False, default=0.0)
    device: str = "cpu"
    _noise: float | None = field(init=False, default=None)
    _curve: list[float] = field(init=False, default_factory=list)
    _by_view: npt.NDArray[np.float64] = field(init=False)
    _total: float = field(init=False, default=0.0)
    _shown: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.iterations = self.settings.iterations or fixed_count(self.settings.algorithm)
        if self.settings.algorithm == "fbp":
            self.iterations = 1
        if self.iterations is None:
            self.trial_share = 0.15
        self._by_view = np.zeros(self.geometry.views)
        slices = self.geometry.volume_zyx[1]
        wanted = slices // 2 if self.settings.preview_slice is None else self.settings.preview_slice
        self._slice = min(wanted, slices - 1)

    def noise_of(self, views: Floats) -> float:
        """Rms noise of the views, of the first slab for all; 0 where nothing asks for it."""
        if not needs_noise(self.settings):
            return 0.0
        if self._noise is None:
            self._noise = noise_rms(views)
        return self._noise

    def on_device(self, views: Floats, geometry: Geometry, first_slice: int) -> Parts | None:
        """The parts on a CUDA device, if that is where it computes and this can be computed there."""
        if self.device != "cuda":
            return None
        from atomseg_app.tomography import device_iterations

        return device_iterations.on_cuda(views, geometry, self.settings, support_of(geometry, self.settings),
                                         first_slice, self.report)  # fmt: skip

    def run(self, parts: Parts, slab: int, slabs: int) -> None:
        """Let all parts of a slab go through the iterations."""
        assert self.iterations is not None
        low = self.trial_share
        report = self.report.part(low + (1 - low) * slab / slabs, low + (1 - low) * (slab + 1) / slabs)
        self._curve.clear()
        misfit = np.zeros(self.geometry.views)
        for iteration in range(self.iterations):
            misfit[...] = 0
            for number, step in enumerate(parts.steps):
                done = (iteration + number / len(parts.steps)) / self.iterations
                report.progress(done, f"iteration {iteration + 1} of {self.iterations}")
                found = next(step)
                misfit += found.misfit
                self._show(parts, number, found.image)
            self._curve.append(float(misfit.sum()) / parts.total)
            if self.settings.algorithm != "fbp":
                self.report.preview("R-factor", np.array(self._curve))
            if self._enough(misfit, parts, iteration):
                break
        self._by_view += misfit
        self._total += parts.total

    def _enough(self, misfit: npt.NDArray[np.float64], parts: Parts, iteration: int) -> bool:
        """Whether the user wants it to stop, or the rest is as small as the noise and that is what ends it."""
        assert self.iterations is not None
        if self.report.stopping:
            if iteration + 1 < self.iterations:
                self.report.note(f"Stopped after {iteration + 1} of {self.iterations} iterations.")
                self.stopped = True
            return True
        rays = self.geometry.views * parts.slices * self.geometry.detector_yx[1]
        by_noise = self.settings.stop == "discrepancy" and self.settings.iterations is None
        return by_noise and stopping.explained(float(misfit.sum()), rays, self._noise or 0.0)

    def _show(self, parts: Parts, number: int, image: Floats) -> None:
        """Show the slice if it is in this part and was not shown a moment ago."""
        if time.monotonic() - self._shown > _PREVIEW_S:
            shown = parts.slice_of(number, image, self._slice)
            if shown is not None:
                self.report.preview("slice", shown)
                self._shown = time.monotonic()

    def facts(self) -> dict[str, object]:
        """What the volume's metadata keep of the course."""
        if self.settings.algorithm == "fbp" or not self._curve:
            return {}
        return {
            "iterations": len(self._curve),
            "r_factor": float(self._by_view.sum()) / max(self._total, 1e-30),
        }
