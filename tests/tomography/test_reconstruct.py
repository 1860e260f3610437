"""Reconstructions of a sample whose views are known in closed form, faults of series, and stopping half-way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom, sections, sinogram_of, slice_of
from atomseg_app.tomography import reconstruct as reconstruct_module
from atomseg_app.tomography.fbp import angle_weights
from atomseg_app.tomography.quality import fourier_shells, nrmse, psnr_db, ssim

SIZE, SLICES = 48, 36
TILTS = tuple(np.arange(-66.0, 67.0, 4.0))


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    """Volume and views with noise."""
    return phantom(SIZE, SLICES, TILTS, seed=0)


def reconstructed(series: TiltSeries, report: Report | None = None, **settings: object) -> Volume:
    operation = operations.get("reconstruct")
    volume = operations.run(operation, (series,), operation.parse(settings), report or Report())
    assert isinstance(volume, Volume)
    return volume


# PSNR in dB that each has to reach; about 1 below what it reached when it was written.
@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"algorithm": "mlem"}, 30), ({"algorithm": "osem"}, 30), ({"algorithm": "sirt"}, 29),
        ({"algorithm": "os-sart"}, 29), ({"algorithm": "sart"}, 29), ({"algorithm": "tv"}, 33),
        ({"algorithm": "fista-tv"}, 33), ({"algorithm": "asd-pocs"}, 30), ({"algorithm": "cgls"}, 26),
        ({"algorithm": "tikhonov"}, 26), ({"algorithm": "gradient"}, 29), ({"algorithm": "fbp"}, 21),
        ({"algorithm": "fourier"}, 27), ({"algorithm": "sirt", "stop": "discrepancy"}, 29),
    ],
)  # fmt: skip
def test_every_algorithm_finds_the_sample(sample, settings: dict[str, object], least: float) -> None:
    truth, views = sample
    volume = reconstructed(TiltSeries(views, (2.0, 3.0), tilt_deg=TILTS), **settings)
    assert psnr_db(truth, volume.values) > least
    assert volume.shape == (SIZE, SLICES, SIZE)
    assert volume.pixel_size_nm == (3.0, 2.0, 3.0)
    assert volume.history[-1].operation == "reconstruct"


def test_dart_finds_two_grey_levels() -> None:
    tilts = tuple(np.arange(-70.0, 71.0, 10.0))
    ellipses = sections(np.array([[0, 0, 0, 0.6, 0.4, 2, 0.3, 0.8], [-0.4, 0.65, 0, 0.2, 0.1, 2, 0, 0.8]]), SIZE, 0.0)
    truth = np.stack([slice_of(ellipses, SIZE)] * 4, axis=1)
    views = np.stack([sinogram_of(ellipses, SIZE, tilts)] * 4, axis=1)
    volume = reconstructed(TiltSeries(views, (None, None), tilt_deg=tilts), algorithm="dart").values
    levels = np.unique(volume)
    assert len(levels) == 2
    assert levels[1] == pytest.approx(0.8, rel=0.02)
    assert np.mean((volume > 0.4) == (truth > 0.4)) > 0.99


def test_an_axis_along_x_gives_the_same_volume(sample) -> None:
    _, views = sample
    plain = reconstructed(TiltSeries(views, (2.0, 3.0), tilt_deg=TILTS), iterations=3)
    turned = TiltSeries(views.transpose(0, 2, 1), (3.0, 2.0), tilt_deg=TILTS, tilt_axis="x")
    other = reconstructed(turned, iterations=3)
    np.testing.assert_array_equal(plain.values, other.values)
    assert plain.pixel_size_nm == other.pixel_size_nm


def test_alignment_is_applied(sample) -> None:
    """Views moved and turned by known amounts give the volume that views in place give."""
    truth, views = sample
    rng = np.random.default_rng(1)
    shifts = rng.integers(-3, 4, len(TILTS))
    moved = np.stack([np.roll(view, shift, axis=1) for view, shift in zip(views, shifts, strict=True)])
    nothing = (0.0,) * len(TILTS)
    alignment = Alignment(tuple(shifts.astype(float)), nothing, nothing)
    series = TiltSeries(moved, (None, None), tilt_deg=TILTS, alignment=alignment)
    plain = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), iterations=10)
    inside = (slice(None), slice(None), slice(4, -4))
    assert nrmse(plain.values[inside], reconstructed(series, iterations=10).values[inside]) < 0.02
    half_turns = Alignment(nothing, nothing, (180.0,) * len(TILTS))
    turned = TiltSeries(views[:, ::-1, ::-1], (None, None), tilt_deg=TILTS, alignment=half_turns)
    for algorithm in ("mlem", "fbp", "tv"):
        one = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), algorithm=algorithm, iterations=4)
        other = reconstructed(turned, algorithm=algorithm, iterations=4)
        assert nrmse(one.values, other.values) < 0.02, algorithm
    assert psnr_db(truth, plain.values) > 28


def test_euler_triples_round_one_axis_give_what_tilts_give(sample) -> None:
    _, views = sample
    plain = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), algorithm="sirt", iterations=5)
    euler = tuple((0.0, -tilt, 0.0) for tilt in TILTS)
    series = TiltSeries(views, (None, None), tilt_deg=TILTS, euler_deg=euler)
    other = reconstructed(series, algorithm="sirt", iterations=5)
    np.testing.assert_allclose(plain.values, other.values, atol=2e-4)
    with pytest.raises(UserError, match="choose SIRT or MLEM"):
        reconstructed(series, algorithm="fbp")


def test_slabs_give_what_the_whole_gives(sample, monkeypatch: pytest.MonkeyPatch) -> None:
    _, views = sample
    series = TiltSeries(views, (None, None), tilt_deg=TILTS)
    whole = reconstructed(series, iterations=4)
    monkeypatch.setattr(reconstruct_module, "slabs_of", lambda *_: [slice(0, 32), slice(32, SLICES)])
    report = Report()
    slabs = reconstructed(series, report, iterations=4)
    # The last block of the whole has empty lanes, as that of the slab: the start level alone may differ.
    np.testing.assert_allclose(slabs.values[:, :32], whole.values[:, :32], rtol=1e-4, atol=1e-6)
    assert nrmse(whole.values, slabs.values) < 0.01
    assert any("2 slabs" in note for note in report.facts.notes)


def test_what_fits_in_memory_decides_the_slabs(sample, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = reconstruct_module.Geometry(TILTS, (1024, 1024), (1024, 1024, 1024))
    settings = operations.get("reconstruct").parse({})

    class Little:
        available = 2 << 30

    monkeypatch.setattr(reconstruct_module.psutil, "virtual_memory", lambda: Little)
    slabs = reconstruct_module.slabs_of(geometry, settings)
    assert len(slabs) > 1
    assert slabs[0].start == 0
    assert slabs[-1].stop == 1024
    assert all(one.stop == other.start for one, other in pairwise(slabs))
    assert (slabs[0].stop - slabs[0].start) * 1024**2 * 4 * 2.5 < 2 << 30


def test_a_large_volume_lies_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Little:
        available = 4000

    monkeypatch.setattr(reconstruct_module.psutil, "virtual_memory", lambda: Little)
    volume = reconstruct_module.new_volume((10, 10, 10))
    assert isinstance(volume, np.memmap)
    volume[3] = 5
    assert volume.sum() == 500


def test_limits_hold(sample) -> None:
    _, views = sample
    series = TiltSeries(views - 5, (None, None), tilt_deg=TILTS)
    free = reconstructed(series, algorithm="sirt", iterations=5, positivity=False)
    assert free.values.min() < -0.01
    assert reconstructed(series, algorithm="sirt", iterations=5).values.min() >= 0
    held = reconstructed(series, algorithm="cgls", iterations=3, support="cylinder").values
    assert held[0, :, 0].max() == 0
    assert held[SIZE // 2, :, SIZE // 2].max() > 0


def test_more_volume_than_detector(sample) -> None:
    """A film reaches beyond what the detector sees: a wider, thinner volume explains it."""
    _, views = sample
    volume = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), iterations=3, thickness_px=30, width_px=70)
    assert volume.shape == (30, SLICES, 70)
    assert np.isfinite(volume.values).all()


def stopping_after(count: int) -> Report:
    calls = iter(range(10**6))
    return Report(stopping=lambda: next(calls) >= count)


def test_stop_keeps_what_there_is_and_cancel_does_not(sample) -> None:
    _, views = sample
    series = TiltSeries(views, (None, None), tilt_deg=TILTS)
    report = stopping_after(4)
    volume = reconstructed(series, report, iterations=50)
    assert volume.metadata["iterations"] == 5
    assert volume.history[-1].notes == ("Stopped after 5 of 50 iterations.",)
    np.testing.assert_array_equal(volume.values, reconstructed(series, iterations=5).values)
    with pytest.raises(Cancelled):
        reconstructed(series, Report(cancelled=lambda: True))


def test_a_slice_and_the_r_factor_are_shown(sample) -> None:
    _, views = sample
    shown: dict[str, np.ndarray] = {}
    report = Report(on_preview=lambda name, array: shown.__setitem__(name, array))
    volume = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), report, iterations=6, preview_slice=34)
    assert shown["slice"].shape == (SIZE, SIZE)
    assert len(shown["R-factor"]) == 6
    assert np.all(np.diff(shown["R-factor"]) < 0)
    assert volume.metadata["r_factor"] == pytest.approx(shown["R-factor"][-1], rel=1e-6)


def with_nan(views: np.ndarray) -> np.ndarray:
    views = views.copy()
    views[3] = np.nan
    return views


def constant(views: np.ndarray) -> np.ndarray:
    views = views.copy()
    views[[2, 7]] = 4
    return views


@pytest.mark.parametrize(
    ("change", "tilts", "sentence"),
    [
        (with_nan, TILTS, "View 3 of .* holds no number; exclude it"),
        (constant, TILTS, "single value throughout: 2, 7"),
        (np.zeros_like, TILTS, "All views of .* are constant"),
        (lambda views: views, (5.0,) * len(TILTS), "at 5 degrees; a volume needs views at different angles"),
        (lambda views: views, (np.nan,) * len(TILTS), "View 0 of 34 has no tilt angle"),
    ],
)
def test_series_that_say_nothing_are_refused(
    sample, change: Callable[[np.ndarray], np.ndarray], tilts: tuple[float, ...], sentence: str
) -> None:
    series = TiltSeries(change(sample[1]), (None, None), tilt_deg=tilts)
    with pytest.raises(UserError, match=sentence):
        reconstructed(series, iterations=2)


def test_one_view_is_refused_and_two_are_not(sample) -> None:
    _, views = sample
    with pytest.raises(UserError, match="All 1 views in use are at -66 degrees"):
        reconstructed(TiltSeries(views[:1], (None, None), tilt_deg=TILTS[:1]))
    assert np.isfinite(reconstructed(TiltSeries(views[:2], (None, None), tilt_deg=TILTS[:2])).values).all()


def test_some_pixels_that_are_no_number_are_filled_and_told(sample) -> None:
    truth, views = sample
    holes = views.copy()
    holes[5, 10:12, 20:23] = np.nan
    holes[9, 4, 4] = np.inf
    report = Report()
    volume = reconstructed(TiltSeries(holes, (None, None), tilt_deg=TILTS), report, iterations=20)
    assert report.facts.notes[0].startswith("7 pixels of the series are no number")
    assert psnr_db(truth, volume.values) > 29


def test_views_of_one_angle_share_what_it_stands_for(sample) -> None:
    """A view given twice counts as one, and the order of views is nothing."""
    assert angle_weights([0, 60, 120]) == pytest.approx([np.pi / 3] * 3)
    assert angle_weights([0, 60, 120, 0]) == pytest.approx([np.pi / 6, np.pi / 3, np.pi / 3, np.pi / 6])
    assert angle_weights(np.arange(-60, 61, 2)) == pytest.approx([np.deg2rad(2)] * 61)  # the wedge is no one's
    _, views = sample
    order = np.random.default_rng(2).permutation(len(TILTS))
    tilts = tuple(TILTS[place] for place in order)
    one = reconstructed(TiltSeries(views, (None, None), tilt_deg=TILTS), algorithm="fbp")
    other = reconstructed(TiltSeries(views[order], (None, None), tilt_deg=tilts), algorithm="fbp")
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_excluded_views_are_not_used(sample) -> None:
    _, views = sample
    broken = views.copy()
    broken[6] = 1e4
    series = TiltSeries(broken, (None, None), tilt_deg=TILTS, excluded=(6,))
    rest = np.setdiff1d(np.arange(len(TILTS)), 6)
    plain = TiltSeries(views[rest], (None, None), tilt_deg=tuple(TILTS[view] for view in rest))
    np.testing.assert_array_equal(reconstructed(series, iterations=3).values, reconstructed(plain, iterations=3).values)


def test_quality_agrees_with_scikit_image(sample, rng) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    truth = sample[0]
    found = truth + rng.normal(0, 0.05, truth.shape).astype(np.float32)
    assert ssim(truth, found) == pytest.approx(
        metrics.structural_similarity(truth, found, data_range=float(np.ptp(truth))), abs=1e-4
    )
    assert psnr_db(truth, found) == pytest.approx(
        metrics.peak_signal_noise_ratio(truth, found, data_range=float(np.ptp(truth))), abs=1e-4
    )


def test_shells_correlate_as_their_signal_to_noise_says(rng) -> None:
    """Two copies with white noise of the signal's own power: 1 / (1 + 1) in every shell."""
    signal = rng.standard_normal((48, 48, 48))
    shells = fourier_shells(*(signal + rng.standard_normal(signal.shape) for _ in range(2)))
    assert np.average(shells.correlation, weights=shells.count) == pytest.approx(0.5, abs=0.01)
    assert fourier_shells(signal, signal).correlation == pytest.approx(1)
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(48)] * 3, indexing="ij", sparse=True)))
    smooth = np.fft.ifftn(np.fft.fftn(signal) * (frequency < 0.25)).real
    noisy = [smooth + 0.01 * rng.standard_normal(signal.shape) for _ in range(2)]
    assert fourier_shells(*noisy).crossing(0.5) == pytest.approx(0.25, abs=0.015)
