"""The bundled samples, small simulated micrographs with their truth: ``python -m atomseg_app.simulate.samples DIR``.

Incoherent imaging: each column scatters as the sum of Z^1.7 over its atoms (Pennycook & Boatner, Nature 336, 565,
1988), seen through a probe with a Gaussian core and a wide tail, on a background, counted as electrons.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from atomseg_app.data import Columns, Source, column_table
from atomseg_app.io.atomic_write import atomic_path, write_text
from atomseg_app.io.tables import write_csv
from atomseg_app.simulate.columns import Floats, TrueColumns, poisson, render
from atomseg_app.simulate.tilt_sample import write_tilt_sample

_GAIN, _OFFSET = 50.0, 300.0  # of the simulated detector: grey levels for one electron, and for none
_TAIL_SHARE, _TAIL_WIDTH = 0.08, 3.0  # height and width of the probe's tail against its core


@dataclass(frozen=True)
class Sample:
    """A sample before noise: columns (positions in nm from the centre of the first pixel) and their surroundings.

    ``strength`` (n,) is relative scattering; ``background`` is relative, one number or an image; ``dose`` is the
    electrons at the peak of a column of strength 1.
    """

    name: str
    title: str
    description: str
    size_px: int
    pixels_per_nm: int
    xy_nm: Floats
    strength: Floats
    sublattice: npt.NDArray[np.int32]
    probe_nm: float
    background: float | Floats
    dose: float


def _lattice(
    size_nm: float, cell_nm: tuple[float, float], sites: Sequence[tuple[float, float]], turn_deg: float
) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Positions (n, 2) of a turned rectangular lattice round the image centre, and the site (n,) each belongs to."""
    reach = int(np.ceil(size_nm / min(cell_nm)))
    steps = np.arange(-reach, reach + 1)
    corners = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2) + np.asarray(sites)[None]
    turn = np.deg2rad(turn_deg)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    xy = (corners * np.asarray(cell_nm)).reshape(-1, 2) @ rotation + size_nm / 2
    site = np.tile(np.arange(len(sites), dtype=np.int32), len(steps) ** 2)
    return xy, site


def _seen(xy: Floats, size_nm: float) -> npt.NDArray[np.intp]:
    """Rows of positions in the image or so near that their tails reach into it."""
    return np.flatnonzero(((xy > -0.2) & (xy < size_nm + 0.2)).all(axis=1))


def silicon() -> Sample:
    """Si [110]: dumbbells 136 pm apart, a little thicker to the right."""
    rng = np.random.default_rng(110)
    size_px, per_nm, a = 512, 100, 0.5431
    size = size_px / per_nm
    xy, _ = _lattice(size, (a / np.sqrt(2), a), [(0, 0), (0, 0.25), (0.5, 0.5), (0.5, 0.75)], turn_deg=6.0)
    xy = xy[_seen(xy, size)]
    thickness = 1 + 0.25 * (xy[:, 0] / size - 0.5)
    return Sample(
        "silicon_110", "Silicon [110] dumbbells",
        "HAADF-like image of silicon along [110]: pairs of columns 136 pm apart, thicker to the right. Simulated.",
        size_px, per_nm, xy + rng.normal(0, 0.003, xy.shape), thickness, np.zeros(len(xy), np.int32), 0.042, 0.35, 60.0,
    )  # fmt: skip


def gold_particle() -> Sample:
    """A gold particle along [001], one to fourteen atoms a column, half on a carbon film that ends in vacuum."""
    rng = np.random.default_rng(79)
    size_px, per_nm, a = 768, 80, 0.4078
    size = size_px / per_nm
    xy, _ = _lattice(size, (a / 2, a / 2), [(0, 0)], turn_deg=-14.0)
    centre, radius = np.array([0.5 * size, 0.47 * size]), 0.31 * size
    depth = 2 * np.sqrt(np.maximum(0, radius**2 - ((xy - centre) ** 2).sum(axis=1)))
    atoms = np.round(depth / a)
    xy, atoms = xy[atoms >= 1], atoms[atoms >= 1]
    pixels_nm = np.arange(size_px) / per_nm
    edge = size * (0.58 + 0.04 * np.sin(2 * np.pi * pixels_nm / 4))
    film = 1 / (1 + np.exp(-(pixels_nm[:, None] - edge[None, :]) / 0.05))
    grain = np.fft.fft2(rng.normal(size=(size_px, size_px)))
    frequency = np.fft.fftfreq(size_px, 1 / per_nm)
    grain *= np.exp(-2 * (np.pi * 0.09) ** 2 * (frequency[:, None] ** 2 + frequency[None, :] ** 2))
    speckle = np.fft.ifft2(grain).real
    background = 0.015 + film * (0.12 + 0.03 * speckle / speckle.std())
    return Sample(
        "gold_particle", "Gold nanoparticle at a carbon edge",
        "HAADF-like image of a gold particle along [001] on a carbon film that ends in vacuum: columns of 1 to 14 "
        "atoms. Simulated.",
        size_px, per_nm, xy + rng.normal(0, 0.004, xy.shape), atoms / 14, np.zeros(len(xy), np.int32), 0.048,
        background, 120.0,
    )  # fmt: skip


def perovskite() -> Sample:
    """SrTiO3 [001] whose Ti-O columns are shifted by 15 pm, up on the left and down on the right of a wall."""
    rng = np.random.default_rng(38)
    size_px, per_nm, a = 768, 100, 0.3905
    size = size_px / per_nm
    xy, site = _lattice(size, (a, a), [(0, 0), (0.5, 0.5)], turn_deg=3.0)
    keep = _seen(xy, size)
    xy, site = xy[keep], site[keep]
    xy[:, 1] += np.where(site == 1, 0.015 * np.tanh((xy[:, 0] - size / 2) / 0.4), 0.0)
    strontium, titanium_oxygen = 38**1.7, 22**1.7 + 8**1.7  # columns of oxygen alone are too weak to be seen
    strength = np.where(site == 0, 1.0, titanium_oxygen / strontium)
    return Sample(
        "perovskite_domains", "Perovskite with two domains",
        "HAADF-like image of SrTiO3 along [001]: bright Sr, weaker Ti-O columns shifted by 15 pm, up on the left and "
        "down on the right. Simulated.",
        size_px, per_nm, xy + rng.normal(0, 0.003, xy.shape), strength, site, 0.055, 0.3, 45.0,
    )  # fmt: skip


def make_image(sample: Sample, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint16], Columns]:
    """The micrograph (y, x) and its truth, amplitudes in grey levels of the file."""
    shape = (sample.size_px, sample.size_px)
    x, y = (sample.xy_nm * sample.pixels_per_nm).T
    n, sigma = len(x), sample.probe_nm * sample.pixels_per_nm
    electrons = np.broadcast_to(np.asarray(sample.background) * sample.dose, shape)
    peak = sample.strength * sample.dose
    core = TrueColumns(x, y, peak, np.full(n, sigma), np.zeros(n))
    tail = TrueColumns(x, y, peak * _TAIL_SHARE, np.full(n, sigma * _TAIL_WIDTH), np.zeros(n))
    expected = render(tail, shape, background=render(core, shape, background=electrons))
    image = np.clip(np.round(poisson(expected, rng) * _GAIN + _OFFSET), 0, 65535).astype(np.uint16)
    inside = np.flatnonzero((np.minimum(x, y) > -0.5) & (np.maximum(x, y) < sample.size_px - 0.5))
    table = column_table(len(inside))
    table["x_px"], table["y_px"] = x[inside], y[inside]
    table["amplitude"] = peak[inside] * _GAIN
    table["sigma_px"], table["ellipticity"], table["angle_deg"] = sigma, 1.0, 0.0
    table["probability"], table["sublattice"] = 1.0, sample.sublattice[inside]
    size_nm = 1 / sample.pixels_per_nm
    return image, Columns(table, shape, (size_nm, size_nm), Source(f"{sample.name}.tif"))


def write_samples(folder: Path) -> None:
    """Write all images: NAME.tif (16 bit, calibrated), NAME.json (title, description), NAME_truth.csv; and a series."""
    for order, sample in enumerate((silicon(), gold_particle(), perovskite())):
        image, truth = make_image(sample, np.random.default_rng(2026 + order))
        with atomic_path(folder / f"{sample.name}.tif") as temporary:
            tifffile.imwrite(
                temporary, image, imagej=True, resolution=((sample.pixels_per_nm, 1),) * 2, metadata={"unit": "nm"}
            )
        write_csv(truth, folder / f"{sample.name}_truth.csv")
        card = {
            "title": sample.title, "description": sample.description, "file": f"{sample.name}.tif", "order": order,
            "truth": f"{sample.name}_truth.csv", "licence": "CC0-1.0",
        }  # fmt: skip
        write_text(folder / f"{sample.name}.json", json.dumps(card, indent=2) + "\n")
    write_tilt_sample(folder)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
