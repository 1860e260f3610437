"""Tables of columns as the HDF5 file that atomap reads."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_path


def write_atomap_hdf5(columns: Columns, path: str | Path, image: Image) -> None:
    """Write the file that atomap's ``load_atom_lattice_from_hdf5`` reads: one sublattice for each label in the table.

    Raises UserError for a table without columns, or of several frames: atomap knows neither.
    """
    table = columns.table
    if not len(table) or len(np.unique(table["frame"])) > 1:
        raise UserError("atomap files hold the columns of one image; this table has none, or those of several frames.")
    known = np.isfinite(table["sigma_px"]) & np.isfinite(table["ellipticity"]) & np.isfinite(table["angle_deg"])
    pixel_size, units = (columns.pixel_size_nm[1], "nm") if columns.calibrated else (1.0, "pixel")
    values = np.asarray(image.values)
    stack = {"chunks": True, "compression": "gzip"}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for index, label in enumerate(np.unique(table["sublattice"])):
            part = table["sublattice"] == label
            rows, shaped = table[part], known[part].all()
            name = f"sublattice {label}" if label >= 0 else "columns"
            group = file.create_group(f"{index:03d} {name}_sublattice")
            for kind in ("modified_image_data", "original_image_data"):
                group.create_dataset(kind, data=values, **stack)
            group.create_dataset("atom_positions", data=np.stack([rows["x_px"], rows["y_px"]], axis=1), **stack)
            if shaped:  # sigma_px is the geometric mean of the two widths
                root = np.sqrt(rows["ellipticity"])
                group.create_dataset("sigma_x", data=rows["sigma_px"] * root, **stack)
                group.create_dataset("sigma_y", data=rows["sigma_px"] / root, **stack)
                # atomap turns from +x towards -y.
                group.create_dataset("rotation", data=np.deg2rad(-rows["angle_deg"]) % np.pi, **stack)
            group.attrs.update(
                pixel_size=pixel_size, units=units, pixel_separation=0.0, name=name, plot_color="blue",
                sublattice_index=index, zone_axis_names_byte=[],
            )  # fmt: skip
        file.create_dataset("image_data", data=values, **stack)
        file.attrs.update(name=columns.source.name, pixel_separation=0.0, atom_lattice_type="Atom_Lattice")
