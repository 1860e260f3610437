"""Meshes of classes: closed, of the right volume and area, in nm; each format read back by its own rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.io.meshes import MESH_EXTENSIONS, write_mesh
from atomseg_app.label_classes import LabelClass
from atomseg_app.segmentation.meshes import class_mesh


def ball(size_nm: tuple[float | None, ...]) -> Labels:
    grid = np.indices((34, 34, 34)) - 16.3
    values = ((grid**2).sum(0) <= 144).astype(np.uint8)
    values[28:, 28:, 28:] = 1
    return Labels(values, size_nm, classes=(LabelClass(0, "out"), LabelClass(1, "in")))


def volume_of(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_a_mesh_is_closed_and_in_nm() -> None:
    labels = ball((0.5, 0.5, 0.5))
    vertices, faces, unit = class_mesh(labels, 1)
    assert unit == "nm"
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(edge): 0 for edge in edges.tolist()}
    for edge in edges.tolist():
        there[tuple(edge)] += 1
    assert all(there.get((b, a)) == count for (a, b), count in there.items()), "each edge has its opposite"
    assert volume_of(vertices, faces) == pytest.approx(labels.values.sum() / 8, rel=0.02)
    distance = np.linalg.norm(vertices - 16.3 * 0.5, axis=1)
    assert np.median(distance) == pytest.approx(6, abs=0.1)
    coarse, light, _ = class_mesh(labels, 1, step=2)
    assert len(light) < 0.4 * len(faces)
    assert volume_of(coarse, light) == pytest.approx(labels.values.sum() / 8, rel=0.05)
    assert class_mesh(ball((None,) * 3), 1)[2] == "px"
    with pytest.raises(UserError, match="no surface"):
        class_mesh(labels, 7)


@pytest.mark.parametrize("extension", MESH_EXTENSIONS)
def test_formats_hold_the_same_triangles(extension: str, tmp_path: Path) -> None:
    vertices, faces, unit = class_mesh(ball((0.5, 0.4, 0.3)), 1, step=3)
    path = tmp_path / f"m{extension}"
    write_mesh(path, vertices, faces, unit)
    content = path.read_bytes()
    assert b"nm" in content[:200]
    if extension == ".stl":
        rows = np.frombuffer(content[84:], [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("o", "<u2")])
        corners = rows["c"]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ij,ij->i", outward, rows["n"]) >= 0).all()
    elif extension == ".ply":
        body = content[content.index(b"end_header\n") + 11 :]
        places = np.frombuffer(body[: 12 * len(vertices)], "<f4").reshape(-1, 3)
        rows = np.frombuffer(body[12 * len(vertices) :], [("n", "u1"), ("c", "<i4", 3)])
        assert (rows["n"] == 3).all()
        corners = places[rows["c"]]
    else:
        lines = [line.split() for line in content.decode().splitlines()]
        places = np.array([line[1:] for line in lines if line[0] == "v"], np.float32)
        corners = places[np.array([line[1:] for line in lines if line[0] == "f"], int) - 1]
    np.testing.assert_array_equal(corners, vertices[faces])


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.stl"):
        write_mesh(tmp_path / "m.xyz", np.zeros((3, 3), np.float32), np.zeros((1, 3), np.int32), "nm")
    with pytest.raises(UserError, match="no surface"):
        write_mesh(tmp_path / "m.stl", np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32), "nm")
    assert list(tmp_path.iterdir()) == []
