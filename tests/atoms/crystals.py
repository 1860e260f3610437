"""Tables of columns of ideal crystals, for tests of what is measured from columns."""

import numpy as np

from atomseg_app.data import Columns, column_table


def crystal(a, b, *, sites=((0, 0),), size_px=500.0, turn_deg=0.0, noise_px=0.0, seed=0, weights=None, err_px=None):
    """Columns of a lattice with rows a, b (px) and fractional sites, turned from +x towards +y, and their sites."""
    rng = np.random.default_rng(seed)
    turn = np.deg2rad(turn_deg)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    vectors = np.array([a, b], float) @ turned
    cells = np.stack(np.meshgrid(*[np.arange(-90, 91)] * 2), axis=-1).reshape(-1, 2)
    xy = np.concatenate([(cells + site) @ vectors for site in sites]) + size_px / 2
    site = np.repeat(np.arange(len(sites)), len(cells))
    keep = ((xy > 6) & (xy < size_px - 7)).all(axis=1)
    xy, site = xy[keep] + rng.normal(0, noise_px, (keep.sum(), 2)) if noise_px else xy[keep], site[keep]
    strength = np.ones(len(sites)) if weights is None else np.array(weights, float)
    return columns_at(xy, strength[site] * rng.uniform(0.95, 1.05, len(xy)), err_px or noise_px or 0.01, size_px), site


def columns_at(xy, amplitude=1.0, err_px=0.1, size_px=500.0, pixel_size_nm=(None, None)):
    """Columns at positions (n, 2)."""
    table = column_table(len(xy))
    table["x_px"], table["y_px"] = np.asarray(xy).T
    table["x_err_px"] = table["y_err_px"] = err_px
    table["amplitude"] = amplitude
    return Columns(table, (int(size_px), int(size_px)), pixel_size_nm)
