"""Simulated catalysts: seeds, shares, labels and particles that agree, families, and each step of the tomogram."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.catalyst import MATCHED, catalyst, catalysts, make_catalyst
from atomseg_app.simulate.catalyst_preset import FAMILIES, HELD_OUT, METAL, PORES, SUPPORT
from atomseg_app.simulate.catalyst_support import FAMILIES as FUNCTIONS
from atomseg_app.simulate.catalyst_support import noise_field, paint, support
from atomseg_app.simulate.catalyst_tomogram import Conditions, mlem, tomogram

EXACT = Conditions(tuple(np.arange(-88.0, 90, 4)), 0.0, 0.0, 0.5, 0.0, 1e7, "mlem", 60)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_a_seed_gives_the_same_and_another_another() -> None:
    shape = (32, 6, 32)
    volume, labels = catalyst(5, shape)
    again = catalyst(5, shape)
    assert volume.shape == labels.shape == shape
    assert volume.values.dtype == labels.values.dtype == np.uint8
    np.testing.assert_array_equal(volume.values, again[0].values)
    np.testing.assert_array_equal(labels.values, again[1].values)
    assert (catalyst(6, shape)[0].values != volume.values).any()
    assert [each.name for each in labels.classes] == ["pores", "support", "metal"]
    assert volume.pixel_size_nm == labels.pixel_size_nm == (0.3, 0.3, 0.3)
    first, second = islice(catalysts(5, shape), 2)
    np.testing.assert_array_equal(first.volume.values, volume.values)
    assert (second.labels.values != first.labels.values).any()


def test_families_held_out_are_not_trained_on() -> None:
    assert not set(FAMILIES) & set(HELD_OUT)
    assert set(FAMILIES) | set(HELD_OUT) == set(FUNCTIONS)
    drawn = {make_catalyst(seed, (24, 1, 24)).family for seed in range(12)}
    assert drawn == set(FAMILIES)
    with pytest.raises(ValueError, match="cheese"):
        make_catalyst(1, (32, 4, 32), "cheese")
    with pytest.raises(ValueError, match="16 voxels"):
        make_catalyst(1, (8, 4, 32))


@pytest.mark.parametrize("family", FUNCTIONS)
def test_a_support_fills_its_share_in_one_rough_body_that_all_views_see(family: str) -> None:
    level = support(np.random.default_rng(3), family, (64, 24, 64), 20.0, 0.2)
    solid = level > 0
    assert solid.mean() == pytest.approx(0.2, abs=0.004)
    line = np.linspace(-1, 1, 64)
    beyond = np.hypot(line[:, None], line[None, :]) > 1.0
    assert not solid.transpose(0, 2, 1)[beyond].any()
    changes = np.count_nonzero(np.diff(solid, axis=2)) / solid.sum()
    assert 0.02 < changes < 0.4, "neither one lump nor noise"


def test_labels_particles_and_greys_agree() -> None:
    made = make_catalyst(2, (80, 40, 80), "grains", replace(MATCHED, metal_share=(0.02, 0.025)))
    labels, grey = made.labels.values, made.volume.values
    np.testing.assert_array_equal(made.particles > 0, labels == METAL)
    assert made.particles.max() >= 3
    assert 0.01 < (labels == METAL).mean() < 0.04
    assert 0.14 < (labels == SUPPORT).mean() < 0.26
    means = [grey[labels == value].mean() for value in (PORES, SUPPORT, METAL)]
    assert means[0] < 20 < 45 < means[1] < 70 < 140 < means[2]


def test_volumes_whose_slices_are_no_squares() -> None:
    made = make_catalyst(4, (24, 5, 48))
    assert made.volume.shape == made.labels.shape == made.particles.shape == (24, 5, 48)
    assert (
        made.volume.values[made.labels.values == SUPPORT].mean()
        > 4 * made.volume.values[made.labels.values == PORES].mean()
    )


def test_the_tomogram_of_exact_views_is_the_specimen_where_its_labels_are() -> None:
    density = np.zeros((48, 3, 48), np.float32)
    density[14:22, :, 26:34] = 2.0
    found = tomogram(np.random.default_rng(1), density, EXACT)
    middle = found[16:20, 1, 28:32]
    assert middle.mean() == pytest.approx(2.0, rel=0.05)
    z, x = np.indices((48, 48))
    weight = found[:, 1] / found[:, 1].sum()
    assert ((weight * z).sum(), (weight * x).sum()) == pytest.approx((17.5, 29.5), abs=0.05)


@pytest.mark.parametrize("method", ["mlem", "sirt"])
def test_misaligned_views_do_not_move_the_tomogram(method: str) -> None:
    density = np.zeros((48, 5, 48), np.float32)
    density[20:30, :, 22:32] = 1.0
    how = replace(EXACT, shift_px=1.5, tilt_deg=tuple(np.arange(-66.0, 67, 3)), method=method, iterations=25)
    centres = []
    for seed in range(8):
        found = tomogram(np.random.default_rng(seed), density, how)[:, 2]
        weight = np.where(found > 0.4, found, 0)
        z, x = np.indices(weight.shape)
        centres.append(((weight * z).sum() / weight.sum(), (weight * x).sum() / weight.sum()))
    assert np.mean(centres, axis=0) == pytest.approx((24.5, 26.5), abs=0.12)
    assert np.max(np.abs(np.array(centres) - (24.5, 26.5))) < 0.5


def test_mlem_keeps_the_counts_and_climbs_in_likelihood() -> None:
    beam = ParallelBeam(np.arange(-60.0, 61, 6), 24)
    truth = torch.zeros(2, 24, 24)
    truth[:, 8:14, 10:17] = torch.tensor([1.0, 3.0])[:, None, None]
    views = beam.project(truth)
    likelihood = []
    for iterations in (1, 4, 16):
        projected = beam.project(mlem(beam, views, iterations))
        assert float(projected.sum()) == pytest.approx(float(views.sum()), rel=1e-3)
        likelihood.append(float((views * projected.clamp(min=1e-9).log() - projected).sum()))
    assert likelihood == sorted(likelihood)


def test_fields_and_ellipsoids_are_what_they_say() -> None:
    field = noise_field(np.random.default_rng(1), (48, 20, 48), 8.0)
    assert field.shape == (48, 20, 48)
    near = np.mean(field[:-1] * field[1:])
    far = np.mean(field[:-16] * field[16:])
    assert near > 0.8
    assert abs(far) < 0.3
    level = np.full((30, 30, 30), -5.0, np.float32)
    paint(level, np.array([14.0, 15.0, 13.5]), np.diag(1 / np.array([6.0, 8.0, 10.0])), 6.0)
    assert np.count_nonzero(level > 0) == pytest.approx(4 / 3 * np.pi * 6 * 8 * 10, rel=0.02)
