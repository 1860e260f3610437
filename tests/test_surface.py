"""Surfaces of volumes: closed, facing outwards, and of the size that closed forms say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from atomseg_app.surface import surface


def distance(side, centre):
    """Distance (z, y, x) from a place (x, y, z) in voxels."""
    z, y, x = np.mgrid[:side, :side, :side].astype(float)
    return np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)


def enclosed(vertices, faces):
    """Volume inside a closed mesh whose faces look outwards (divergence theorem)."""
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def is_closed(faces):
    edges = Counter(map(tuple, np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])))
    return all(edges[b, a] == count for (a, b), count in edges.items())


def test_sphere_lies_where_it_is_and_encloses_its_volume():
    centre = (20.3, 23.1, 18.6)
    vertices, faces = surface(15 - distance(44, centre), 0.0)
    radii = np.linalg.norm(vertices - np.array(centre), axis=1)
    np.testing.assert_allclose(radii, 15, atol=0.03)
    assert enclosed(vertices, faces) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.01)
    assert is_closed(faces)


def test_what_reaches_the_border_is_closed_there(rng):
    """The outside counts as below the level, whatever the values are."""
    vertices, faces = surface(np.full((6, 7, 8), 5.0, np.float32), 2.0)
    assert is_closed(faces)
    assert enclosed(vertices, faces) == pytest.approx(6 * 7 * 8, rel=0.1)
    noise = rng.normal(size=(9, 8, 7)).astype(np.float32)
    noise[2, 3, 4] = np.nan
    vertices, faces = surface(noise, 0.2)
    assert is_closed(faces)
    assert np.isfinite(vertices).all()


@pytest.mark.parametrize("level", [-1e6, 1e6])
def test_no_surface_where_nothing_crosses(level):
    faces = surface(np.zeros((4, 4, 4), np.float32), level)[1]
    assert (len(faces) == 0) == (level > 0), "below the level there is nothing, above it the whole block"


def test_scaled_values_give_the_same_mesh():
    values = 8 - distance(24, (11.0, 12.0, 11.5))
    vertices, faces = surface(values, 0.5)
    again, same = surface(1000 * values, 500.0)
    np.testing.assert_array_equal(faces, same)
    np.testing.assert_allclose(vertices, again, atol=1e-3)
