"""What the figures of spheres and of ghosts measure: known elongations, ghosts put there by hand, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.benchmarks.wedge_elongation import elongation, sphere_views
from atomseg_app.benchmarks.wedge_failures import Ghosts, bar, ghosts
from atomseg_app.benchmarks.wedge_scenes import COUNTED, EXACT, wedge_tilts
from atomseg_app.benchmarks.wedge_volumes import KINDS, SIZE, SLICES, volume
from atomseg_app.rays.parallel_beam import ParallelBeam

CENTRE = (9.3, 0.4, -14.2)  # x, y, z


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ellipsoid(stretch: float) -> np.ndarray:
    """Slices (y, z, x) of an ellipsoid with half axes 20, ``stretch`` of that along z, with soft edges."""
    y, z, x = np.indices((45, 96, 96)) - np.array([22, 47.5, 47.5])[:, None, None, None]
    distance = np.sqrt((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + ((z - CENTRE[2]) / stretch) ** 2)
    return np.clip(20.5 - distance, 0, 1).astype(np.float32)


@pytest.mark.parametrize("stretch", [1.0, 0.9, 1.3, 1.6])
def test_an_elongation_is_found_as_it_is(stretch: float) -> None:
    slices = ellipsoid(stretch)
    assert elongation(slices, CENTRE) == pytest.approx(stretch, rel=0.01)
    faint = 0.3 * slices.max() * np.random.default_rng(1).random(slices.shape, np.float32)
    assert elongation(np.maximum(slices, faint), CENTRE) == pytest.approx(stretch, rel=0.01), (
        "what is faint is left out"
    )
    slices[:, 85:, :] = 1
    assert elongation(slices, CENTRE) == pytest.approx(stretch, rel=0.01), "what is elsewhere is left out"


def test_views_of_a_sphere_are_those_of_the_sphere() -> None:
    beam = ParallelBeam(wedge_tilts(60), 96)
    projected = beam.project(torch.from_numpy(ellipsoid(1.0)))
    views = sphere_views(CENTRE, beam)
    assert views.shape == projected.shape
    assert float((views - projected).norm() / projected.norm()) < 0.02


def ghost_of(share: float, size: int, distance: int) -> Ghosts:
    """Ghosts found where a cube is drawn beside an object of grey level 2, so many empty voxels from it."""
    truth = torch.zeros(12, 40, 40)
    truth[:, 10:20, 10:20] = 2
    answer = truth.clone()
    answer[:, 10:20, 10:20] += 1  # a wrong object is no ghost
    answer[4 : 4 + size, 10 : 10 + size, 20 + distance : 20 + distance + size] += 2 * share
    return ghosts(answer, truth)


def test_ghosts_are_found_where_they_are_large_bright_and_far_enough() -> None:
    found = ghost_of(0.06, 3, 2)
    assert (found.count, found.largest_voxels) == (1, 27)
    assert found.strongest == pytest.approx(0.06, rel=1e-3)
    assert ghost_of(0.3, 4, 2).largest_voxels == 64
    assert ghost_of(0.06, 3, 1) == ghost_of(0.04, 3, 5) == ghost_of(0.5, 2, 5) == Ghosts()
    assert not bar(45.0, EXACT, [found, Ghosts()]).reached
    assert bar(45.0, EXACT, [Ghosts()]).reached


@pytest.mark.parametrize("kind", KINDS)
def test_volumes_are_whole_objects_with_their_views(kind: str) -> None:
    tilts = wedge_tilts(60, 20)
    one = volume(kind, 0, EXACT, tilts)
    assert one.truth.shape == (SLICES, SIZE, SIZE)
    assert 0.5 < float(one.truth.max()) < 1.001
    assert float(one.truth[:, [0, -1], :].max()) == float(one.truth[:, :, [0, -1]].max()) == 0
    projected = one.beam.project(one.truth)
    assert float((one.views - projected).norm() / projected.norm()) < 0.02
    noisy = volume(kind, 0, COUNTED, tilts)
    torch.testing.assert_close(noisy.truth, one.truth)
    lit = one.views > 0.1 * one.views.max()
    share = (noisy.views - one.views)[lit].std() / one.views[lit].mean()
    assert float(share) == pytest.approx(1e3**-0.5, rel=0.1)
    assert not torch.equal(volume(kind, 1, EXACT, tilts).truth, one.truth)
