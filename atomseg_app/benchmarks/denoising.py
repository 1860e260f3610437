"""The network's denoised picture against the clean one, beside the classical ways to take noise out.

The classical ways get their parameter from the truth, the best for each picture, and every method one gain and one
offset. Non-local means (Buades, Coll & Morel, CVPR 2005) and total variation (Chambolle, J. Math. Imaging Vis. 20,
2004) are scikit-image's, where it is installed; wavelets are soft-thresholded undecimated B3 splines (Starck, Fadili &
Murtagh, IEEE Trans. Image Process. 16, 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app import operations
from atomseg_app.atoms.network_operations import ENHANCE
from atomseg_app.benchmarks.hard_set import Picture, each, pictures
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import Image
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import HARD_SET

Grey = npt.NDArray[np.float32]
Denoiser = Callable[[Grey, float, float], Grey]
"""From a picture, the noise (rms) of its typical pixel and the parameter to the picture without noise."""

GAINS_WANTED_DB = {5: 3.0, 20: 2.0, 50: 1.0}
"""By counts at the typical column peak."""
PICTURES = 48
_SEED = 4096
_SPLINE = np.array([1, 4, 6, 4, 1]) / 16
_NOISE_AT_SCALE = (0.890, 0.201, 0.0857, 0.0413, 0.0205)
"""What is left of white noise of rms 1 in each scale of the undecimated B3 spline wavelets of two dimensions."""


def psnr(shown: npt.ArrayLike, clean: npt.ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB of a picture against a clean one, after the best gain and offset.

    The peak is the range of the clean picture. A picture without contrast is as good as the clean one's mean.
    """
    values, wanted = np.asarray(shown, float).ravel(), np.asarray(clean, float).ravel()
    values = values - values.mean()
    power = float(values @ values)
    gain = float(values @ wanted) / power if power > 0 else 0.0
    error = float(np.mean((wanted - wanted.mean() - gain * values) ** 2))
    return float(20 * np.log10(np.ptp(wanted)) - 10 * np.log10(max(error, 1e-30)))


def gaussian(picture: Grey, _noise: float, width_px: float) -> Grey:
    """Picture blurred with a Gaussian."""
    return np.asarray(ndimage.gaussian_filter(picture, width_px), np.float32)


def wavelet(picture: Grey, noise: float, threshold: float) -> Grey:
    """Picture with its wavelet coefficients drawn towards 0 by so many times the noise of their scale."""
    smooth, result = picture.astype(float), np.zeros(picture.shape)
    for scale, left in enumerate(_NOISE_AT_SCALE):
        kernel = np.zeros(4 * 2**scale + 1)
        kernel[:: 2**scale] = _SPLINE
        smoother = ndimage.convolve1d(ndimage.convolve1d(smooth, kernel, axis=0, mode="mirror"), kernel, mode="mirror")
        detail, limit = smooth - smoother, threshold * noise * left
        result += np.sign(detail) * np.maximum(np.abs(detail) - limit, 0)
        smooth = smoother
    return np.asarray(result + smooth, np.float32)


def non_local_means(picture: Grey, noise: float, strength: float) -> Grey:
    """Picture averaged over patches that look alike."""
    from skimage.restoration import denoise_nl_means

    shown = denoise_nl_means(picture, patch_size=5, patch_distance=7, h=strength * noise, sigma=noise, fast_mode=True)
    return np.asarray(shown, np.float32)


def total_variation(picture: Grey, noise: float, weight: float) -> Grey:
    """Picture of the least total variation at a distance."""
    from skimage.restoration import denoise_tv_chambolle

    smooth = denoise_tv_chambolle(picture, weight=weight * noise, max_num_iter=100)  # type: ignore[no-untyped-call, unused-ignore]
    return np.asarray(smooth, np.float32)


CLASSICAL: dict[str, tuple[Denoiser, tuple[float, ...]]] = {
    "Gaussian": (gaussian, (0.5, 0.7, 0.9, 1.1, 1.4, 1.7, 2.1, 2.6, 3.2, 4.0)),
    "wavelets": (wavelet, (0.5, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0)),
    "non-local means": (non_local_means, (0.2, 0.4, 0.6, 0.8, 1.1, 1.5)),
    "total variation": (total_variation, (0.5, 0.8, 1.2, 1.6, 2.2, 3.0, 4.5)),
}
_NEED_SKIMAGE = ("non-local means", "total variation")
RECORDED, NETWORK = "as recorded", "network"


def available() -> tuple[str, ...]:
    """Classical methods that can run here."""
    there = find_spec("skimage") is not None
    return tuple(name for name in CLASSICAL if there or name not in _NEED_SKIMAGE)


def unseen(counts: float, count: int) -> list[Picture]:
    """Pictures as in the hard set at one dose, without line jitter, of a seed of their own."""
    preset = replace(HARD_SET, name="denoising", dose=(counts, counts), jittered=0.0, filtered=0.0)
    return pictures(count, preset, _SEED + int(counts))


def enhanced(picture: Grey, output: str) -> npt.NDArray[np.generic]:
    """One of the network's pictures, with nothing set."""
    shown = operations.run(ENHANCE, (Image(picture),), ENHANCE.parse({"output": output}), Report())
    assert isinstance(shown, Image)
    return shown.values


def denoised_psnr(picture: Picture, methods: Sequence[str]) -> dict[str, float]:
    """PSNR (dB) of a picture as recorded, denoised by the network, and by each method at its best parameter."""
    noise = float(np.sqrt(max(float(picture.values.mean()), 1e-6)))  # counts vary by their root
    result = {
        RECORDED: psnr(picture.values, picture.clean),
        NETWORK: psnr(enhanced(picture.values, "denoised"), picture.clean),
    }
    for name in methods:
        method, parameters = CLASSICAL[name]
        result[name] = max(psnr(method(picture.values, noise, value), picture.clean) for value in parameters)
    return result


def sharpened_psnr(picture: Picture) -> dict[str, float]:
    """PSNR (dB) against the noise-free picture through half the probe: as recorded, and super-resolved."""
    return {
        RECORDED: psnr(picture.values, picture.narrow),
        NETWORK: psnr(enhanced(picture.values, "super-resolved"), picture.narrow),
    }


def run(count: int, pool: Executor | None = None) -> bool:
    """Print both tables; True if the network gains less than is wanted on the best classical method of a set."""
    methods, rows, sharp, failed = available(), [], [], False
    for counts, wanted in GAINS_WANTED_DB.items():
        items = unseen(counts, count)
        results = each(partial(denoised_psnr, methods=methods), items, pool)
        mean = {name: float(np.mean([result[name] for result in results])) for name in results[0]}
        best = max(methods, key=lambda name: mean[name])
        gain = mean[NETWORK] - mean[best]
        strict = float(np.mean([result[NETWORK] - max(result[name] for name in methods) for result in results]))
        shown = [mean.get(name, "no scikit-image") for name in (RECORDED, NETWORK, *CLASSICAL)]
        rows.append([counts, *shown, best, gain, strict])
        failed |= gain < wanted
        sharper = each(sharpened_psnr, items, pool)
        sharp.append([counts, *(float(np.mean([result[name] for result in sharper])) for name in (RECORDED, NETWORK))])
    print_table(
        f"Denoising: PSNR (dB) against the clean picture, mean of {count} unseen pictures at each dose.\n"
        "Classical methods with the parameter that the truth chooses for each picture; one gain and offset fitted for\n"
        "all. Gain (dB): on the best classical method of the set, and on the best one of each picture.",
        ["counts at peak", RECORDED, NETWORK, *CLASSICAL, "best classical", "gain", "gain on each best"],
        rows,
    )
    print_table(
        f"Super-resolved: PSNR (dB) against the noise-free columns through half the probe, {count} unseen\n"
        "pictures at each dose.",
        ["counts at peak", RECORDED, NETWORK],
        sharp,
    )
    return failed
