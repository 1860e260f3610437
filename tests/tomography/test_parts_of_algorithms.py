"""What algorithms are made of: differences and their adjoint, noise, subsets, filters, when to stop."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.tomography.edges import Edges
from atomseg_app.tomography.fbp import filter_response
from atomseg_app.tomography.fourier import grid_points
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.mlem import mlem
from atomseg_app.tomography.noise import noise_rms
from atomseg_app.tomography.ordered_subsets import sart, subsets
from atomseg_app.tomography.problem import Limits
from atomseg_app.tomography.problems import BlockProblem, StackProblem, VolumeProblem
from atomseg_app.tomography.projector import projector as project
from atomseg_app.tomography.sirt import sirt
from atomseg_app.tomography.stopping import best_count, held_out
from atomseg_app.tomography.turned import TurnedProblem
from atomseg_app.tomography.variation_kernels import divergence, dual_step, total_variation
from atomseg_app.tomography.views import views_along_y

TILTS = tuple(np.arange(-60.0, 61.0, 10.0))


@pytest.mark.parametrize(
    ("shape", "lanes"), [((3, 7, 6, 16), 41), ((1, 5, 9, 11), 11), ((2, 4, 4, 16), 32), ((1, 6, 5, 1), 1)]
)
def test_divergence_is_minus_the_adjoint_of_the_differences(shape: tuple[int, ...], lanes: int, rng) -> None:
    """<grad x, p> = -<x, div p> over the voxels that are slices; the differences come from a step of the dual."""
    blocks = np.zeros(shape, np.float32)
    dual = np.zeros((3, *shape), np.float32)
    flat = blocks.transpose(1, 2, 0, 3).reshape(shape[1], shape[2], -1)[:, :, :lanes]
    values = rng.standard_normal(flat.shape).astype(np.float32)
    padded = np.zeros((shape[1], shape[2], shape[0] * shape[3]), np.float32)
    padded[:, :, :lanes] = values
    blocks[...] = padded.reshape(shape[1], shape[2], shape[0], shape[3]).transpose(2, 0, 1, 3)
    dual_step(blocks, 1e9, 1.0, lanes, dual)  # so far from the limit that the dual is the differences
    expected = np.stack([np.diff(values, axis=axis, append=np.take(values, [-1], axis)) for axis in range(3)])
    found = dual.transpose(0, 2, 3, 1, 4).reshape(3, shape[1], shape[2], -1)
    np.testing.assert_allclose(found[..., :lanes], expected, atol=1e-6)
    assert np.abs(found[2][..., lanes - 1 :]).max() == 0
    total = np.zeros(shape, np.float32)
    divergence(dual, total)
    assert -np.vdot(blocks, total) == pytest.approx(float((expected**2).sum()), rel=1e-4)
    assert total_variation(blocks, lanes) == pytest.approx(float(np.sqrt((expected**2).sum(axis=0)).sum()), rel=1e-4)


def test_duals_stay_within_their_limit(rng) -> None:
    blocks = rng.standard_normal((2, 5, 6, 16)).astype(np.float32)
    dual = np.zeros((3, *blocks.shape), np.float32)
    dual_step(blocks, 0.3, 1.0, 30, dual)
    lengths = np.sqrt((dual**2).sum(axis=0))
    assert lengths.max() == pytest.approx(0.3, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "border", "lanes"), [((3, 7, 6, 16), 2, 41), ((1, 5, 9, 11), 0, 11), ((2, 4, 4, 16), 2, 32)]
)
def test_duals_in_16_bits_are_those_in_32(shape: tuple[int, ...], border: int, lanes: int, rng) -> None:
    """Block after block the same steps and the same divergence, to a part in 32767 of the weight."""
    weight, step = 1.7, 0.8
    blocks, steps = np.zeros(shape, np.float32), rng.random((*shape[1:3], 1), np.float32)
    inside = np.arange(shape[0] * shape[3]).reshape(shape[0], 1, 1, shape[3]) < lanes
    bordered = np.zeros((shape[0], shape[1] + 2 * border, shape[2] + 2 * border, shape[3]), np.float32)
    within = bordered[:, border : border + shape[1], border : border + shape[2]]
    edges = Edges(shape[0], bordered.shape[1:], border, lanes, weight)
    dual = np.zeros((3, *shape), np.float32)
    for _ in range(5):
        within[...] = inside * rng.normal(0, 1, shape).astype(np.float32)
        blocks[...] = within
        dual_step(blocks, weight, step, lanes, dual)
        for number in range(shape[0]):
            edges.step(number, bordered[number], bordered[number + 1] if number + 1 < shape[0] else None, step)
    found = edges.values.transpose(3, 0, 1, 2, 4) * (weight / 32767)
    assert np.abs(dual).max() > 0.9 * weight
    np.testing.assert_allclose(found, dual, atol=4 * weight / 32767)
    total = np.zeros(shape, np.float32)
    divergence(dual, total)
    before = within.copy()
    for number in range(shape[0]):
        edges.add_divergence(number, steps, bordered[number])
    np.testing.assert_allclose(within - before, steps * total, atol=24 * weight / 32767)
    within[...] = 0
    assert not bordered.any()  # the border stays empty


def test_edges_of_any_size_stay_within_the_weight(rng) -> None:
    """Grey levels of 1e9 and weights of next to nothing are no overflow."""
    for weight, size in ((1e-12, 1e9), (0.0, 1.0), (1e9, 1e-9)):
        edges = Edges(1, (5, 6, 16), 0, 16, weight)
        image = (size * rng.standard_normal((5, 6, 16))).astype(np.float32)
        edges.step(0, image, None, 2.5)
        lengths = np.sqrt(np.square(edges.values[0].astype(float)).sum(axis=2))
        assert lengths.max() <= 32768
        if weight < size:
            assert lengths[:-1, :-1, :-1].min() > 32765


def test_noise_is_found_under_a_sample_with_edges(rng) -> None:
    views = np.zeros((3, 96, 96), np.float32)
    views[:, 20:70, 30:60] = 40
    views += np.linspace(0, 30, 96, dtype=np.float32)
    assert noise_rms(views) < 0.01
    assert noise_rms(views + rng.normal(0, 2, views.shape).astype(np.float32)) == pytest.approx(2, rel=0.05)
    counts = rng.poisson(np.where(views > 35, 400.0, 25.0)).astype(np.float32)
    expected = np.sqrt(np.mean(np.where(views > 35, 400.0, 25.0)))
    assert noise_rms(counts) == pytest.approx(expected, rel=0.2)  # tiles at edges hold two kinds of noise


def test_subsets_take_every_view_once_and_spread_them() -> None:
    projector = BlockProjector(Geometry(TILTS, (4, 8), (8, 4, 8)))
    problem = BlockProblem(projector, np.array([0, 2, 3, 4, 6, 7, 8, 9, 11, 12]))
    for count in (1, 3, 10, 50):
        parts = subsets(problem, count)
        assert len(parts) == min(count, 10)
        assert sorted(np.concatenate(parts)) == problem.views.tolist()
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("name", ["ramp", "shepp-logan", "cosine", "hann", "hamming", "sirt-like"])
def test_filters_are_even_and_take_the_mean_away(name: str) -> None:
    """A constant view gives in the middle what the cut tail of the ramp leaves: the sum of 2 / (pi n)^2 over odd n."""
    bins = 201
    response = filter_response(name, bins).astype(float)
    middle = bins - 1
    np.testing.assert_allclose(response[middle - 50 : middle], response[middle + 50 : middle : -1], atol=1e-7)
    tail = 1 / (np.pi**2 * 100)
    assert response[middle - 100 : middle + 101].sum() == pytest.approx(tail, rel=0.03)


def test_three_kinds_of_problem_project_alike(rng) -> None:
    """A block, all blocks, and the volume: the same weights and the same projections of the used views."""
    geometry = Geometry(TILTS, (32, 12), (10, 32, 14))
    projector, views = BlockProjector(geometry), np.array([1, 4, 9])
    block = BlockProblem(projector, views)
    stack, volume = StackProblem(block), VolumeProblem(geometry, views)
    sample = rng.random(geometry.volume_zyx, np.float32)
    images = projector.take_volume(sample, 0), projector.take_volume(sample, 0)[None], sample
    seen = []
    for problem, image in zip((block, stack, volume), images, strict=True):
        problem.forward(image, problem.scratch, views)
        array = problem.scratch if problem is not stack else problem.scratch[0]
        if problem is not volume:
            out = np.zeros((len(TILTS), 32, 12), np.float32)
            projector.put_views(array, out, 0)
            array = out
        seen.append(array)
    np.testing.assert_allclose(seen[1], seen[0])
    np.testing.assert_allclose(seen[2], seen[0], atol=1e-4)
    assert np.abs(np.delete(seen[0], views, axis=0)).max() == 0
    np.testing.assert_allclose(volume.voxel_weight[:, 5], block.voxel_weight, rtol=1e-4)
    np.testing.assert_allclose(volume.ray_weight[views, 3], block.ray_weight[views], rtol=1e-4)


@pytest.mark.parametrize("support", [False, True])
def test_turned_views_are_worked_on_in_blocks_as_in_the_volume(support: bool, rng) -> None:
    """SIRT, MLEM and SART of views that are turned and moved: the same voxels as with the operator of any geometry."""
    count = len(TILTS)
    x, y, turn = rng.uniform(-3, 3, (3, count))
    geometry = Geometry(TILTS, (37, 22), (18, 37, 20), Alignment(tuple(x), tuple(y), tuple(turn), 1.5, 2.0))
    sample = rng.random(geometry.volume_zyx, np.float32)
    views, some = project(geometry)(sample), np.array([0, 2, 3, 6, 7, 8, 11])
    inside = np.hypot(*np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 18))) < 1
    limits = Limits(0.0, inside if support else None)
    for algorithm in (sirt, mlem, partial(sart, count=3)):
        found = []
        for kind in (VolumeProblem, TurnedProblem):
            problem = kind(geometry, some, limits, 0.8)
            image = problem.new_image()
            steps = algorithm(problem, views.copy(), image)
            iterate = [next(steps) for _ in range(4)][-1]
            found.append((image, iterate.misfit))
        volume = np.zeros_like(sample)
        assert isinstance(problem, TurnedProblem)
        for start, block in zip(problem.projector.starts, found[1][0], strict=True):
            problem.projector.put_volume(block, volume, start)
        np.testing.assert_allclose(volume, found[0][0], atol=1e-4)
        np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-4)
        assert not np.any(np.delete(found[1][1], some))
        assert np.abs(volume).max() > 0.5
        if support:
            assert not volume.transpose(0, 2, 1)[~inside].any()


def test_the_trial_stops_where_views_left_out_are_explained_best() -> None:
    numbers = iter(range(10**6))

    def steps():
        while True:
            yield Iterate(np.array([float(next(numbers))]), np.zeros(1))

    assert best_count(steps(), lambda image: 1 + (float(image[0]) - 29) ** 2, Report()) == 30
    held = held_out(TILTS)
    assert 0 not in held
    assert len(TILTS) - 1 not in held


def test_points_of_the_spectrum_are_means_of_samples() -> None:
    points = grid_points(np.array([-30.0, 0.0, 45.0]), 32, 32)
    sums = np.bincount(points.point, points.weight)
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    assert points.radius.max() < 0.5
    assert 0 < points.left_out.mean() < 0.15


def test_views_are_turned_chosen_and_filled() -> None:
    values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    series = TiltSeries(values, (None, None), tilt_deg=(0.0, 1.0, 2.0), tilt_axis="x", excluded=(1,))
    views = views_along_y(series)
    np.testing.assert_array_equal(views, values[[0, 2]].transpose(0, 2, 1))
    assert views.dtype == np.float32
    assert views.flags.c_contiguous
    np.testing.assert_array_equal(views_along_y(series, rows=slice(1, 3)), views[:, 1:3])
    holes = np.ones((1, 20, 20), np.float32)
    holes[0, :12, :12] = np.nan
    holes[0, 3, 3] = 7
    report = Report()
    filled = views_along_y(TiltSeries(holes, (None, None), tilt_deg=(0.0,)), report)
    assert np.isfinite(filled).all()
    assert filled[0, 11, 11] == 1
    assert report.facts.notes == ["143 pixels of the series are no number; they were filled from their neighbours."]
