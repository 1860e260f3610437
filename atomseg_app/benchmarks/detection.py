"""``atomseg bench detection``: how completely and how purely columns are found, with no parameter touched."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.detect import detect
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import Image
from atomseg_app.io.files import read
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice

Floats = npt.NDArray[np.float64]
Finder = Callable[[Floats], Floats]

SPACINGS_PX = (8, 10, 12, 16, 20, 25, 30, 40, 50, 60)
SCALES = (0.5, 1.0, 1.5, 2.0, 3.0)
MATCH_RADIUS = 0.25
"""Of a spacing: a found column within it of a true one, each counted once, is right."""
_REAL = (
    "0.png",
    "02_8nm_1024px_16us_linesync_none_none.png",
    "04_aligned_blind6_none_crop.png",
    "1.png",
    "11133.png",
    "12965.png",
    "2.png",
    "Si110_5nmX25us_03_none_none.png",
    "MoS2_stem_Exp-001-5.npy",
    "example_Se_implanted_MoS2.dm3",
    "simulated_nanoparticle.hspy",
    "test_ABF_cropped.hdf5",
    "test_ADF_cropped.hdf5",
)


def score(found_xy: Floats, true_xy: Floats, radius_px: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of found places (n, 2) against true ones (m, 2), matched one to one within a radius."""
    if not len(found_xy) or not len(true_xy):
        return 0.0, 0.0, 0.0
    pairs = spatial.cKDTree(found_xy).sparse_distance_matrix(spatial.cKDTree(true_xy), radius_px, output_type="ndarray")
    taken_found, taken_true = np.zeros(len(found_xy), bool), np.zeros(len(true_xy), bool)
    for pair in pairs[np.argsort(pairs["v"])]:  # the nearest pairs first
        if not taken_found[pair["i"]] and not taken_true[pair["j"]]:
            taken_found[pair["i"]] = taken_true[pair["j"]] = True
    right = int(taken_found.sum())
    precision, recall = right / len(found_xy), right / len(true_xy)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def scene(size_px: int, spacing_px: float, peak: float, seed: int) -> tuple[Floats, Floats]:
    """Noisy image (y, x) of the figure's lattice - sigma a fifth of the spacing, displaced 0.35 px - and its truth."""
    rng = np.random.default_rng(seed)
    columns = square_lattice(size_px, spacing_px, rng, displacement_px=0.35, peak=peak)
    return poisson(render(columns, (size_px, size_px)), rng), _places(columns)


def find(image: npt.NDArray[np.generic], method: str = "log") -> Candidates:
    """Detection as the operation does it, with its defaults."""
    return detect(
        image, method="hough" if method == "hough" else "log", polarity="auto", false_alarms=0.1, report=Report()
    )


def run() -> int:
    """Print the tables; 1 if a figure falls short of F1 0.99, or of recall 0.97 and precision 0.99 at 5 counts."""
    return int(_sweep() | _dose() | _rescaled() | _noise() | _real_images())


def _places(columns: TrueColumns | Candidates) -> Floats:
    return np.column_stack([columns.x_px, columns.y_px])


def _sweep() -> bool:
    atomap = _atomap()
    rows, failed = [], False
    for spacing in SPACINGS_PX:
        image, truth = scene(1024, spacing, 50, spacing)
        row: list[object] = [spacing, len(truth)]
        for method in ("log", "hough"):
            start = time.process_time()
            f1 = score(_places(find(image, method)), truth, MATCH_RADIUS * spacing)[2]
            row += [f1, time.process_time() - start]
            failed |= method == "log" and f1 < 0.99
        small, small_truth = scene(256, spacing, 50, spacing)
        row.append(score(_places(find(small)), small_truth, MATCH_RADIUS * spacing)[2])
        row.append(
            score(atomap(image, 0.95 * spacing), truth, MATCH_RADIUS * spacing)[1] if atomap else "not installed"
        )
        rows.append(row)
    print_table(
        "F1 of detection, 1024 x 1024, sigma 0.2 spacing, 50 counts at the mean peak, background 0.3",
        ["spacing px", "columns", "F1 log", "CPU s", "F1 Hough", "CPU s", "F1 256 x 256", "atomap recall, sep. 0.95"],
        rows,
    )
    return failed


def _atomap() -> Callable[[Floats, float], Floats] | None:
    """atomap's peak search, where it is installed in the same environment."""
    try:
        import atomap.api as am
        import hyperspy.api as hs
    except ImportError:
        return None

    def positions(image: Floats, separation: float) -> Floats:
        return np.asarray(am.get_atom_positions(hs.signals.Signal2D(image), separation=separation), float)

    return positions


def _dose() -> bool:
    rows, failed = [], False
    for peak in (5, 10, 50, 500):
        image, truth = scene(1024, 20, peak, peak)
        precision, recall, f1 = score(_places(find(image)), truth, MATCH_RADIUS * 20)
        rows.append([peak, len(truth), precision, recall, f1])
        failed |= recall < 0.97 or precision < 0.99
    print_table(
        "Detection against dose, 1024 x 1024, spacing 20 px, sigma 4 px",
        ["counts at the mean peak", "columns", "precision", "recall", "F1"],
        rows,
    )
    return failed


def rescaled(image: Floats, scale: float) -> Floats:
    """Image (y, x) enlarged by cubic interpolation, or halved by summing 2 x 2 pixels (scale 0.5)."""
    if scale == 0.5:
        ny, nx = (size // 2 * 2 for size in image.shape)
        return np.asarray(image[:ny, :nx].reshape(ny // 2, 2, nx // 2, 2).sum(axis=(1, 3)))
    if scale == 1:
        return image
    return np.asarray(ndimage.zoom(image, scale, order=3, mode="nearest", grid_mode=True))


def _rescaled() -> bool:
    rows, failed = [], False
    for spacing, peak in ((10, 50), (20, 5), (20, 50), (30, 50)):
        image, truth = scene(384, spacing, peak, spacing)
        row: list[object] = [f"{spacing} px, {peak} counts"]
        for scale in SCALES:
            there = (truth + 0.5) * scale - 0.5
            f1 = score(_places(find(rescaled(image, scale))), there, MATCH_RADIUS * spacing * scale)[2]
            row.append(f1)
            failed |= f1 < 0.99
        rows.append(row)
    print_table(
        "F1 of detection in rescaled copies of an image (0.5: 2 x 2 sums; above 1: cubic interpolation)",
        ["image", *(f"x {scale:g}" for scale in SCALES)],
        rows,
    )
    return failed


def _noise() -> bool:
    rng = np.random.default_rng(1)
    kinds: dict[str, Callable[[], Floats]] = {
        "Gaussian": lambda: rng.normal(100, 3, (256, 256)),
        "Poisson, 10 counts": lambda: poisson(np.full((256, 256), 10.0), rng),
        "Poisson, 0.1 counts": lambda: poisson(np.full((256, 256), 0.1), rng),
        "Poisson on a ramp, 1-200 counts": lambda: poisson(np.tile(np.linspace(1, 200, 256), (256, 1)), rng),
        "with scan lines as strong": lambda: rng.normal(0, 1, (256, 256)) + rng.normal(0, 1, (256, 1)),
        "blurred, sigma 3 px": lambda: np.asarray(ndimage.gaussian_filter(rng.normal(0, 1, (256, 256)), 3)),
    }
    rows = [(name, float(np.mean([len(find(make())) for _ in range(30)]))) for name, make in kinds.items()]
    print_table("Columns found in pure noise, mean of 30 images 256 x 256 (declared: 0.1)", ["noise", "columns"], rows)
    return any(count > 0.5 for _, count in rows)


def _real_images() -> bool:
    folder = Path(os.environ.get("ATOMSEG_TEST_DATA", "")) / "micrographs"
    if not os.environ.get("ATOMSEG_TEST_DATA") or not folder.is_dir():
        print_table("Real images", ["skipped"], [["ATOMSEG_TEST_DATA names no folder with micrographs"]])
        return False
    rows = []
    for name in _REAL:
        image = read(folder / name)
        if isinstance(image, Image):
            start = time.process_time()
            found = find(image.values)
            seconds = time.process_time() - start
            enlarged = find(rescaled(np.asarray(image.values, float)[:512, :512], 2))
            first = int(np.sum((found.x_px < 512) & (found.y_px < 512)))
            width = float(np.median(found.sigma_px)) if len(found) else float("nan")
            rows.append([name, len(found), found.spacing_px, width, found.dark, first, len(enlarged), seconds])
    print_table(
        "Real images",
        ["file", "columns", "spacing px", "sigma px", "dark", "in first 512 x 512", "the same x 2", "CPU s"],
        rows,
    )
    return False
