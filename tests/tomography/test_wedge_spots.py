"""Volumes of atoms' spots: blurring and step against references, atoms in the wedge, the operation's option."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from atomseg_app import operations
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import filtered, sirt
from atomseg_app.tomography.wedge_spots import as_spots, blurred, by_blocks, largest
from tests.tomography import test_spot_width
from tests.tomography.wedge_models import shelve

SIZE, SLICES, SPOT_PX = 32, 12, 1.4
TILTS = torch.arange(-66, 67, 4, dtype=torch.float64)
ATOMS = np.array([(6.0, 10.3, 12.1), (6.2, 20.4, 11.7), (5.6, 15.2, 21.3), (6.1, 9.8, 19.0)])  # (y, z, x)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def atoms() -> tuple[torch.Tensor, torch.Tensor, ParallelBeam]:
    """True slices, views and beam; the views from the volume, so that nothing but the wedge stands in the way."""
    grid = np.indices((SLICES, SIZE, SIZE)).transpose(1, 2, 3, 0)
    truth = sum(np.exp(-((grid - place) ** 2).sum(-1) / (2 * SPOT_PX**2)) for place in ATOMS)
    slices = torch.from_numpy(np.asarray(truth, np.float32))
    beam = ParallelBeam(TILTS, SIZE)
    return slices, beam.project(slices), beam


def off(slices: torch.Tensor, truth: torch.Tensor) -> float:
    return float((slices - truth).norm() / truth.norm())


def test_blurring_is_that_of_scipy() -> None:
    volume = torch.rand(9, 14, 11, generator=torch.Generator().manual_seed(2))
    expected = ndimage.gaussian_filter(volume.numpy(), 1.3, mode="constant", truncate=4.0 * 1.5)
    np.testing.assert_allclose(blurred(volume, 1.3).numpy(), expected, rtol=0, atol=2e-4)
    assert float(blurred(torch.ones(21, 21, 21), 1.0)[10, 10, 10]) == pytest.approx(1)


def test_steps_are_as_long_as_they_may_be() -> None:
    """The eigenvalue against that of the curvature written out as a matrix, of three slices beside each other."""
    beam, spot_px, slices = ParallelBeam(TILTS[::3], 10), 0.6, 3
    unit = torch.eye(slices * 100).reshape(-1, slices, 10, 10)
    rows = [
        blurred(beam.smear(filtered(beam, beam.project(blurred(each, spot_px)))), spot_px).flatten() for each in unit
    ]
    matrix = torch.stack(rows).double().numpy()
    exact = float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])
    assert exact < largest(beam, spot_px) < 3 * exact


def test_blocks_of_slices_are_the_whole() -> None:
    values = torch.rand(37, 4, 5)
    assert torch.equal(by_blocks(lambda part: 2 * part, values), 2 * values)


@torch.no_grad()
def test_what_the_wedge_took_from_atoms_comes_back(atoms: tuple[torch.Tensor, torch.Tensor, ParallelBeam]) -> None:
    truth, views, beam = atoms
    start = sirt(beam, views, 30)
    answer = as_spots(views, beam, start, 1.2)
    assert float(answer.min()) >= 0
    assert off(answer, truth) < 0.3 * off(start, truth)
    assert off(answer, truth) < 0.06
    assert float((beam.project(answer) - views).norm() / views.norm()) < 0.01
    torch.testing.assert_close(as_spots(3 * views, beam, 3 * start, 1.2), 3 * answer, rtol=0, atol=0.01)


@torch.no_grad()
def test_it_can_be_cancelled(atoms: tuple[torch.Tensor, torch.Tensor, ParallelBeam]) -> None:
    truth, views, beam = atoms
    told: list[str] = []
    report = Report(lambda _fraction, message: told.append(message), cancelled=lambda: len(told) > 2)
    with pytest.raises(Cancelled):
        as_spots(views, beam, truth, 1.2, report)
    assert told[0] == "spots of atoms, step 1 of 160"


def test_the_operation_makes_spots_where_it_is_asked_to(
    atoms: tuple[torch.Tensor, torch.Tensor, ParallelBeam],
) -> None:
    shelve()
    truth, views, _ = atoms
    series = TiltSeries(np.ascontiguousarray(views.numpy().transpose(1, 0, 2)), tilt_deg=tuple(TILTS.tolist()))
    operation = operations.get("fill-wedge")

    def fill(**settings: object) -> Volume:
        volume = operations.run(operation, (series,), operation.parse({"device": "cpu", **settings}), Report())
        assert isinstance(volume, Volume)
        return volume

    plain, spots = fill(), fill(spot_px=1.2)
    error, before = (off(torch.from_numpy(one.values.transpose(1, 0, 2).copy()), truth) for one in (spots, plain))
    assert error < 0.5 * before
    assert any("made of spots with a standard deviation of 1.2 px" in note for note in spots.history[-1].notes)
    assert spots.metadata["r_factor"] < plain.metadata["r_factor"]
    with pytest.raises(UserError, match="spots comes without uncertainty"):
        fill(spot_px=1.2, uncertainty=True)


def test_the_operation_measures_the_width_and_hints_at_atoms(
    atoms: tuple[torch.Tensor, torch.Tensor, ParallelBeam],
) -> None:
    """Asked for atoms it makes spots as wide as measured, of too few atoms none; not asked, it says what it saw."""
    shelve()
    operation = operations.get("fill-wedge")

    def fill(views: torch.Tensor, tilts: torch.Tensor, **settings: object) -> Volume:
        series = TiltSeries(np.ascontiguousarray(views.numpy().transpose(1, 0, 2)), tilt_deg=tuple(tilts.tolist()))
        volume = operations.run(operation, (series,), operation.parse({"device": "cpu", **settings}), Report())
        assert isinstance(volume, Volume)
        return volume

    seen = test_spot_width.views_of(test_spot_width.atoms(7.0), 1.5)
    spots, plain = (fill(seen, test_spot_width.TILTS, atoms=asked) for asked in (True, False))
    assert spots.metadata["r_factor"] < 0.05
    (made,) = [note for note in spots.history[-1].notes if "made of spots" in note]
    assert "86% of the 1.5" in made
    hints = [note for note in plain.history[-1].notes if "look like those of single atoms" in note]
    assert len(hints) == 1
    assert "with 'atoms' the volume is made of such spots" in hints[0]
    assert not any("single atoms" in note for note in spots.history[-1].notes)

    _, few, _ = atoms
    kept, usual = (fill(few, TILTS, atoms=asked) for asked in (True, False))
    np.testing.assert_array_equal(kept.values, usual.values)
    assert any("no spots were made: fewer than 12 spots were found" in note for note in kept.history[-1].notes)
    assert not any("single atoms" in note for note in usual.history[-1].notes)
    with pytest.raises(UserError, match="spots comes without uncertainty"):
        fill(few, TILTS, atoms=True, uncertainty=True)
