"""The detector against closed forms and fits: an afterglow leaves columns in place, noise is what the truth counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from atomseg_app.simulate.detector import Detector, afterglow, draw_detector, record, scan_rows
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fourier import Frequencies
from atomseg_app.simulate.optics import Optics
from atomseg_app.simulate.preset import TRAINING, Preset
from atomseg_app.simulate.simulator import Simulator

CPU = torch.device("cpu")
STILL = Preset("still", held_out=False, jittered=0.0, filtered=0.0)


def gaussian(sigma: float, side: int = 48) -> torch.Tensor:
    line = torch.arange(side, dtype=torch.float64) - side // 2
    profile = torch.exp(-(line**2) / (2 * sigma**2))
    return profile[:, None] * profile[None, :]


def fitted_centre(picture: torch.Tensor, sigma: float) -> tuple[float, float]:
    """Centre (x, y) of a Gaussian of free height, width and background, from the middle of the picture."""
    values, side = picture.double().numpy(), picture.shape[-1]
    y, x = np.mgrid[:side, :side] - side // 2

    def misfit(p: np.ndarray) -> np.ndarray:
        model = p[0] + p[1] * np.exp(-((x - p[2]) ** 2 + (y - p[3]) ** 2) / (2 * p[4] ** 2))
        return np.asarray((model - values).ravel())

    fit = least_squares(misfit, [0.0, values.max(), 0.3, 0.0, sigma])
    return float(fit.x[2]), float(fit.x[3])


def slow(decay: float, read: float = 0.0, lines: float = 0.0, count: int = 1) -> Detector:
    one = torch.ones(count, dtype=torch.float64)
    return Detector(read * one, lines * one, decay * one)


def test_an_afterglow_hands_on_a_geometric_series() -> None:
    point = torch.zeros(1, 3, 12, dtype=torch.float64)
    point[0, 1, 4] = 1.0
    row = afterglow(slow(0.4), point)[0, 1]
    assert row[4:9].numpy() == pytest.approx((1 - 0.4) * 0.4 ** np.arange(5) / (1 - 0.4**5))
    assert float(row.sum()) == pytest.approx(1.0)
    assert not row[:4].any()
    mixed = torch.cat([point, point])
    both = afterglow(Detector(torch.zeros(2), torch.zeros(2), torch.tensor([0.0, 0.4])), mixed)
    assert torch.equal(both[0], mixed[0])
    assert both[1, 1].numpy() == pytest.approx(row.numpy(), abs=1e-7)


def test_wide_columns_lag_by_the_mean_of_the_afterglow() -> None:
    """The mean of a geometric series cut after five: sum of k d^k over the sum of d^k; nothing lags without it."""
    later = np.arange(5)
    mean = (later * 0.3**later).sum() / (0.3**later).sum()
    wide = torch.tensor([60.0], dtype=torch.float64)
    assert float(slow(0.3).lag_px(wide)) == pytest.approx(mean, abs=1e-3)
    assert float(slow(0.0).lag_px(wide)) == 0.0


@pytest.mark.parametrize("coarse", [1, 2])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6, 3.2])
@pytest.mark.parametrize("decay", [0.05, 0.2, 0.4])
def test_columns_stay_in_place_through_an_afterglow(decay: float, sigma: float, coarse: int) -> None:
    """``sigma`` in pixels of the file, each of which averages ``coarse`` of the grid that the scan is drawn on."""
    detector = slow(decay)
    lag = detector.lag_px(torch.tensor([sigma], dtype=torch.float64))
    side = 48 * coarse
    middle = (48 // 2 + 0.5) * coarse - 0.5
    line = torch.arange(side, dtype=torch.float64) - middle
    profile = torch.exp(-(line**2) / (2 * (sigma * coarse) ** 2))
    drawn = (profile[:, None] * profile[None, :])[None]

    def centre(lag_px: torch.Tensor | None) -> tuple[float, float]:
        scanned = scan_rows(Draw(0, CPU), STILL, drawn, coarse, lag_px)
        filed = scanned.reshape(1, 48, coarse, 48, coarse).mean((2, 4))
        return fitted_centre(afterglow(detector, filed)[0], sigma)

    x, y = centre(lag)
    assert abs(x) < (0.04 if sigma < 1 else 0.02)  # pixels as large as a column leave a little
    assert abs(y) < 1e-6
    assert centre(None)[0] > 0.5 * decay, "an afterglow moves columns unless the scan runs ahead"


def test_coma_leaves_fitted_centres_in_place() -> None:
    frequencies = Frequencies(48, CPU)
    one = torch.ones(1)
    point = torch.zeros(1, 48, 48)
    point[0, 24, 24] = 1.0
    for sigma in (1.5, 3.0):
        optics = Optics(
            sigma * one, 0 * one, one, 0 * one, 0 * one, 3 * sigma * one, 0.06 * one, 0 * one, 0 * one,
            sigma * one, torch.tensor([False]),
        )  # fmt: skip
        picture = frequencies.picture(torch.fft.rfft2(point) * optics.transfer(frequencies))[0]
        x, y = fitted_centre(picture, sigma)
        assert abs(x) < 0.01 * sigma
        assert abs(y) < 1e-4
        skew = float((picture * (torch.arange(48) - 24.0) ** 3).sum() / picture.sum()) / sigma**3
        assert abs(skew) > 0.2, "the column is lopsided all the same"


@pytest.mark.parametrize(("read", "lines"), [(0.0, 0.0), (6.0, 0.0), (0.0, 3.0), (4.0, 2.0)])
def test_excess_noise_is_what_a_matched_filter_sees(read: float, lines: float) -> None:
    """Pictures without a column through a filter of a column's shape: the scatter of its answers, over many rows."""
    sigma, level, count = 1.8, 30.0, 1500
    detector = Detector(*(value.float() for value in vars(slow(0.0, read, lines, count)).values()))
    counts = record(Draw(7, CPU), STILL, detector, torch.full((count, 24, 24), level)) - level
    column = gaussian(sigma, 24).float()
    answers = (counts * column).sum((1, 2))
    steps = torch.tensor([sigma])
    closed = math.sqrt(math.pi * sigma**2 * (level + float(detector.excess(steps)[0])))
    assert float(answers.std()) == pytest.approx(closed, rel=5 / math.sqrt(2 * count))


def test_the_truth_counts_the_detectors_noise() -> None:
    """snr of the simulator's truth against A over the scatter that a matched filter meets at the same places."""
    batch_preset = Preset(
        "lines", held_out=False, size_px=96, coarse=(1.0, 0.0, 0.0), jittered=0.0, filtered=0.0, labels=0.0, dark=0.0,
        aberrations=0.0, dose=(30.0, 60.0), empty=0.0,
    )  # fmt: skip
    assert batch_preset.z_exponent == TRAINING.z_exponent == (1.5, 2.1)
    ratios = []
    for seed in range(6):
        batch = Simulator(batch_preset, 90 + seed, CPU).batch(16)
        noise = batch.image - batch.clean
        for image in range(16):
            mine = (batch.truth.image == image).nonzero()[:, 0]
            sigma = float(batch.sigma_px[image])
            line = torch.arange(-20, 21)
            profile = torch.exp(-(line**2) / (2 * sigma**2))
            kernel = profile[None, None, :, None] * profile[None, None, None, :]
            answers = torch.nn.functional.conv2d(noise[None, image : image + 1], kernel, padding=20)[0, 0]
            x, y = batch.truth.x_px[mine].round().long(), batch.truth.y_px[mine].round().long()
            inside = (torch.minimum(x, y) > 3 * sigma) & (torch.maximum(x, y) < 95 - 3 * sigma)
            if int(inside.sum()) < 40:
                continue
            mine, met = mine[inside], answers[y[inside], x[inside]]
            signal = batch.truth.amplitude[mine] * batch.dose[image] * math.pi * sigma**2
            told = signal / batch.snr[mine]
            ratios.append(float((met**2).mean().sqrt() / (told**2).mean().sqrt()))
    assert len(ratios) > 25
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)


def test_most_detectors_add_nothing() -> None:
    detector = draw_detector(Draw(1, CPU), torch.full((4000,), 25.0))
    assert float((detector.read > 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert float((detector.lines > 0).float().mean()) == pytest.approx(0.15, abs=0.03)
    assert float((detector.decay > 0).float().mean()) == pytest.approx(0.15, abs=0.03)
    assert float(detector.lines.max()) <= 0.6 * 5
    assert float(detector.read.max()) <= 0.4 * math.sqrt(26)
