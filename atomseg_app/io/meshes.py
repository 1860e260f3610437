"""Meshes of triangles as STL, PLY and OBJ, for printing, Blender, ParaView and MeshLab.

None of the formats knows a unit; those that have comments say it. STL and PLY are binary, little-endian (STL:
3D Systems 1989; PLY: Turk, Stanford 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_open

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
_STRIP = 100_000
_STL_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("colour", "<u2")])
_PLY_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
_MOST_FACES = 2**32 - 1


def write_mesh(path: str | Path, vertices: Vertices, faces: Faces, unit: str) -> None:
    """Write vertices (n, 3) as x, y, z in ``unit`` and triangles (m, 3), counter-clockwise from outside.

    Whole or not at all. Raises UserError for another extension or no triangle, FileError.
    """
    write = _WRITERS.get(Path(path).suffix.lower())
    if write is None:
        raise UserError(f"{path}: a mesh is saved as one of {', '.join(MESH_EXTENSIONS)}; end its name so.")
    if not 0 < len(faces) <= _MOST_FACES:
        raise UserError(f"{path}: there is no surface to save.")
    with atomic_open(path) as stream:
        write(stream, np.asarray(vertices, np.float32), np.asarray(faces, np.int32), unit)


def _write_stl(stream: IO[bytes], vertices: Vertices, faces: Faces, unit: str) -> None:
    stream.write(f"AtomSeg, lengths in {unit}".encode("ascii").ljust(80))
    stream.write(np.uint32(len(faces)).tobytes())
    for start in range(0, len(faces), _STRIP):
        corners = vertices[faces[start : start + _STRIP]]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        rows = np.zeros(len(corners), _STL_FACE)
        rows["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
        rows["corners"] = corners
        stream.write(rows.tobytes())


def _write_ply(stream: IO[bytes], vertices: Vertices, faces: Faces, unit: str) -> None:
    stream.write(
        f"ply\nformat binary_little_endian 1.0\ncomment AtomSeg, lengths in {unit}\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n".encode("ascii")
    )
    stream.write(np.ascontiguousarray(vertices, "<f4").tobytes())
    for start in range(0, len(faces), _STRIP):
        part = faces[start : start + _STRIP]
        rows = np.zeros(len(part), _PLY_FACE)
        rows["count"], rows["corners"] = 3, part
        stream.write(rows.tobytes())


def _write_obj(stream: IO[bytes], vertices: Vertices, faces: Faces, unit: str) -> None:
    stream.write(f"# AtomSeg, lengths in {unit}\n".encode("ascii"))
    for start in range(0, len(vertices), _STRIP):
        lines = (f"v {x} {y} {z}\n" for x, y, z in vertices[start : start + _STRIP].tolist())
        stream.write("".join(lines).encode("ascii"))
    for start in range(0, len(faces), _STRIP):  # counted from 1
        lines = (f"f {a} {b} {c}\n" for a, b, c in (faces[start : start + _STRIP] + 1).tolist())
        stream.write("".join(lines).encode("ascii"))


_WRITERS: Mapping[str, Callable[[IO[bytes], Vertices, Faces, str], None]] = {
    ".stl": _write_stl,
    ".ply": _write_ply,
    ".obj": _write_obj,
}
MESH_EXTENSIONS = tuple(_WRITERS)
"""Extensions that a mesh can be saved with."""
