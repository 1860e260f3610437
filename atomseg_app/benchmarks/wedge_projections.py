"""Noise reduction of projections: the network's views against the classical ways at their best, at 100 counts.

Pictures are sinograms (view, t) of unseen families. The classical ways get their parameter from the truth for each
picture; those of ``denoising.py``, without a gain or an offset fitted.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial

import numpy as np
import torch

from atomseg_app.benchmarks.denoising import CLASSICAL, available
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.wedge_networks import PROJECTIONS, network, there
from atomseg_app.benchmarks.wedge_scenes import FAMILIES, Condition, scene, wedge_tilts
from atomseg_app.networks.wedge_projections import WedgeProjections

COUNTS, GAIN_WANTED_DB = 100.0, 2.0
_WEDGE_DEG = 45.0
_RECORDED, _NETWORK = "as recorded", "network"
_STRENGTHS = (0.25, 0.5, 0.7, 1.0, 1.4)
"""Other noise that methods are told of, times what it is: their parameters were chosen for pictures of columns."""


def measured(family: str, count: int, size_px: int) -> dict[str, float]:
    """Mean PSNR (dB) of a family's views by method; the peak is the greatest value of the clean ones."""
    seen = scene(family, Condition("", COUNTS), wedge_tilts(_WEDGE_DEG), count, size_px)
    clean, noisy = seen.clean.numpy(), seen.views.numpy()
    found = {_RECORDED: [_psnr(noisy[index], clean[index]) for index in range(count)]}
    if there(PROJECTIONS):
        module = network(PROJECTIONS)
        assert isinstance(module, WedgeProjections)
        with torch.no_grad():
            shown = module.denoise(seen.views, seen.beam).numpy()
        found[_NETWORK] = [_psnr(shown[index], clean[index]) for index in range(count)]
    for name in available():
        method, parameters = CLASSICAL[name]
        found[name] = []
        for index in range(count):
            noise = float(np.std(noisy[index] - clean[index]))
            tried = [
                method(noisy[index], noise * strength, value) for strength in _strengths(name) for value in parameters
            ]
            found[name].append(max(_psnr(each, clean[index]) for each in tried))
    return {name: float(np.mean(values)) for name, values in found.items()}


def run(pool: Executor, count: int, size_px: int) -> bool:
    """Print the table; True if the network gains less than is wanted on the best classical method."""
    found = dict(zip(FAMILIES, pool.map(partial(measured, count=count, size_px=size_px), FAMILIES), strict=True))
    names = list(found[FAMILIES[0]])
    mean = {name: float(np.mean([scores[name] for scores in found.values()])) for name in names}
    rows = [[name, *(f"{found[family][name]:.2f}" for family in FAMILIES), f"{mean[name]:.2f}"] for name in names]
    failed = False
    if _NETWORK in mean:
        gains = [scores[_NETWORK] - _best(scores) for scores in (*found.values(), mean)]
        failed = gains[-1] < GAIN_WANTED_DB
        rows.append([f"gain, dB (wanted {GAIN_WANTED_DB:g})", *(f"{gain:+.2f}" for gain in gains)])
    print_table(
        f"Noise reduction of projections at {COUNTS:g} counts: PSNR (dB) of sinograms, {count} slices of {size_px} px\n"
        f"a family, {len(wedge_tilts(_WEDGE_DEG))} views. Classical methods with the parameter that the truth chooses\n"
        "for each picture.",
        ["method", *FAMILIES, "mean"],
        rows,
    )
    return failed


def _best(scores: dict[str, float]) -> float:
    """The best classical method's."""
    return max(value for name, value in scores.items() if name in CLASSICAL)


def _strengths(name: str) -> tuple[float, ...]:
    return _STRENGTHS if name == "non-local means" else (1.0,)


def _psnr(shown: np.typing.NDArray[np.float32], clean: np.typing.NDArray[np.float32]) -> float:
    error = float(np.mean((shown - clean) ** 2))
    return float(20 * np.log10(float(clean.max())) - 10 * np.log10(max(error, 1e-30)))
