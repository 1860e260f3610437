"""Volumes as VTK image data (.vti), for ParaView, tomviz and 3D Slicer: XML with the values as they are behind it.

After VTK's file formats: the extent runs x, y, z, and so do the values with x fastest, which is (z, y, x) in memory.
VTK knows no units: the spacing is in nm, and a field array ``voxel_size_nm`` (z, y, x; 0 where not known) says so.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from atomseg_app.data import Volume
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.io.volume_parts import NUMBERS, slabs, stored_type
from atomseg_app.operations import Report

VTK_TYPES: Mapping[str, str] = {
    "int8": "Int8", "uint8": "UInt8", "int16": "Int16", "uint16": "UInt16", "int32": "Int32", "uint32": "UInt32",
    "float32": "Float32", "float64": "Float64",
}  # fmt: skip
_ALIGNMENT = 64


def write_vti(volume: Volume, path: str | Path, report: Report) -> None:
    """Write a volume, whole or not at all; its values lie in one piece and can be mapped. Raises FileError."""
    dtype = stored_type(volume.values, NUMBERS, report, "VTI")
    head = _head(volume, VTK_TYPES[dtype.name])
    with atomic_open(path) as stream:
        stream.write(head + struct.pack("<Q", volume.values.size * dtype.itemsize))
        for _, slab in slabs(volume.values, dtype, report):
            stream.write(slab.astype(dtype.newbyteorder("<"), copy=False).tobytes())
        stream.write(b"\n  </AppendedData>\n</VTKFile>\n")


def _head(volume: Volume, kind: str) -> bytes:
    """All before the values, padded so that they begin at a multiple of 64 bytes."""
    extent = " ".join(f"0 {size - 1}" for size in reversed(volume.shape))
    spacing = " ".join(repr(size or 1.0) for size in reversed(volume.pixel_size_nm))
    sizes = " ".join(repr(size or 0.0) for size in volume.pixel_size_nm)
    text = f"""<?xml version="1.0"?>
<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">
  <ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}">
    <FieldData>
      <DataArray type="Float64" Name="voxel_size_nm" NumberOfComponents="3" NumberOfTuples="1" format="ascii">
        {sizes}
      </DataArray>
    </FieldData>
    <Piece Extent="{extent}">
      <PointData Scalars="intensity">
        <DataArray type="{kind}" Name="intensity" NumberOfComponents="1" format="appended" offset="0"/>
      </PointData>
      <CellData/>
    </Piece>
  </ImageData>
  <AppendedData encoding="raw">
"""
    return text.encode("ascii") + b" " * (-(len(text) + 9) % _ALIGNMENT) + b"_"
