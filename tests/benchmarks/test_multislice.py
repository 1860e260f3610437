"""The comparison with multislice: what it would find in images of known columns, and a small run where abTEM is."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks import multislice
from atomseg_app.benchmarks.multislice import POWER, SPECIMENS, Specimen, compare, fitted_power, in_rectangle
from atomseg_app.simulate.crystals import Floats, structure
from atomseg_app.simulate.projection import Projection, project

SILICON_SIZE = np.array([543.07 / np.sqrt(2), 543.07])


def projections() -> list[tuple[Projection, Floats]]:
    sizes = {"SrTiO3": [390.5, 390.5], "GaP": [545.05 / np.sqrt(2), 545.05], "Au": [407.825 / np.sqrt(2), 407.825]}
    return [(project(structure(s.name), s.zone), np.array(sizes[s.name])) for s in SPECIMENS]


def drawn(xy: Floats, volume: Floats, size_pm: Floats, shape: tuple[int, int], core_pm: float, tail: float) -> Floats:
    """An image (y, x) of one periodic cell, summed over the copies around."""
    y, x = (np.arange(n) * length / n for n, length in zip(shape, size_pm[::-1], strict=True))
    image = np.full(shape, 0.02)
    for i in range(-4, 5):
        for j in range(-4, 5):
            r2 = (x[None, :, None] - xy[:, 0] - i * size_pm[0]) ** 2 + (
                y[:, None, None] - xy[:, 1] - j * size_pm[1]
            ) ** 2
            for part, width in ((1.0, core_pm), (tail, 3.0 * core_pm)):
                image += (volume * part / (2 * np.pi * width**2) * np.exp(-0.5 * r2 / width**2)).sum(axis=-1)
    return image


@pytest.mark.parametrize(("projection", "size_pm"), projections(), ids=lambda v: str(getattr(v, "structure", "")))
def test_displacements_and_powers_put_into_an_image_are_found(projection: Projection, size_pm: Floats) -> None:
    xy, atoms = in_rectangle(projection, size_pm)[0]
    shift = np.random.default_rng(5).normal(0, 4, xy.shape)
    volume = np.array([sum(n * z**1.62 for z, n in column) for column in atoms])
    shape = tuple(int(np.ceil(length / 22)) for length in size_pm[::-1])
    found = compare(drawn(xy + shift, volume, size_pm, shape, 42.0, 0.3), size_pm, projection)  # type: ignore[arg-type]
    heavy = np.array([max(z for z, _ in column) > 10 for column in atoms])
    np.testing.assert_allclose(found.offset_pm[heavy], shift[heavy], atol=0.3)
    np.testing.assert_allclose(found.offset_pm, shift, atol=2.0)
    np.testing.assert_allclose(found.volume / found.volume.max(), volume / volume.max(), atol=0.02)
    if len(set(atoms)) > 1:
        assert fitted_power(found.volume, found.atoms) == pytest.approx(1.62, abs=0.04)


@pytest.mark.parametrize("power", [1.3, 1.7, 2.0])
def test_the_power_is_recovered_from_exact_sums(power: float) -> None:
    atoms = (((38, 1.0),), ((8, 1.0), (22, 1.0)), ((8, 1.0),))
    volume = np.array([sum(n * z**power for z, n in column) for column in atoms])
    assert fitted_power(3.7 * volume, atoms) == pytest.approx(power, abs=1e-4)


def test_rows_tell_columns_in_parts_of_the_strongest() -> None:
    projection, size_pm = projections()[0]
    xy, atoms = in_rectangle(projection, size_pm)[0]
    volume = np.array([sum(n * z**POWER for z, n in column) for column in atoms])
    exact = multislice.Comparison(np.zeros_like(xy), volume, atoms, 0.0)
    rows = multislice._intensities(exact, projection.structure, {z: float(z) ** 2 for z in (8, 22, 38)})
    assert [row[0] for row in rows] == ["O", "O Ti", "Sr"]
    for name, found, alone, closed, fitted, power in rows:
        atoms_of = {"O": (8,), "O Ti": (8, 22), "Sr": (38,)}[str(name)]
        assert found == pytest.approx(sum(z**POWER for z in atoms_of) / 38**POWER)
        assert alone == pytest.approx(sum(z**2 for z in atoms_of) / 38**2)
        assert closed == pytest.approx(found)
        assert fitted == pytest.approx(found, rel=1e-3)
        assert power == pytest.approx(POWER, abs=1e-3)


def test_a_primitive_cell_fills_the_rectangle() -> None:
    projection = project(structure("Si"), (1, 1, 0))
    turns = in_rectangle(projection, SILICON_SIZE)
    assert len(turns) == 2
    for xy, atoms in turns:
        assert len(xy) == len(atoms) == 4  # the primitive cell of the picture holds two
        apart = np.linalg.norm(xy - xy[0], axis=1)
        assert np.isclose(np.sort(apart)[1], 543.07 / 4, atol=0.01) or np.isclose(apart, 543.07 * 3 / 4).any()


def test_the_turn_is_chosen_by_the_image_for_a_polar_crystal() -> None:
    """GaP [110] turned by 180 degrees has gallium and phosphorus the other way up."""
    projection, size_pm = projections()[1]
    for xy, atoms in in_rectangle(projection, size_pm):
        volume = np.array([sum(n * z**1.7 for z, n in column) for column in atoms])
        image = drawn(xy, volume, size_pm, (26, 19), 42.0, 0.3)
        assert np.abs(compare(image, size_pm, projection).offset_pm).max() < 0.1


def test_a_wrong_cell_is_refused() -> None:
    projection = project(structure("Si"), (1, 1, 0))
    with pytest.raises(ValueError, match="none of the projection"):
        in_rectangle(projection, np.array([400.0, 543.07]))


def test_without_abtem_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.platform == "win32":
        pytest.skip("uses a shell script as a Python without abTEM")
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\nexit 1\n")
    lacking.chmod(0o755)
    monkeypatch.setenv("ATOMSEG_PEER_PYTHON", str(lacking))
    assert multislice.run() == 0
    assert capsys.readouterr().out.strip().splitlines() == [
        "abTEM is not installed, so nothing is compared with multislice; pip install 'atomseg-app[sim]' brings it."
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thin_gold_crystal_in_abtem_has_its_columns_where_the_projection_has_them() -> None:
    if "ATOMSEG_PEER_PYTHON" not in os.environ and find_spec("abtem") is None:
        pytest.skip("abTEM is not installed")
    gold = SPECIMENS[2]
    found = multislice.multislice(Specimen(gold.name, gold.cut, gold.repeats, (1, 3)))
    if found is None:
        pytest.skip("the peer's Python has no abTEM")
    images, size_pm, alone, _ = found
    assert set(alone) == {79}
    assert alone[79] > 0
    compared = compare(images[1], size_pm, project(structure("Au"), gold.zone))
    assert np.abs(compared.offset_pm).max() < 8
    assert images[1].mean() == pytest.approx(3 * images[0].mean(), rel=0.5)  # incoherent: in proportion to thickness
    assert sum(n * z**POWER for z, n in compared.atoms[0]) == pytest.approx(79**POWER)
