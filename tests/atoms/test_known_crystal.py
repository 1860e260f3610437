"""Sublattices of crystals drawn from their structure are told by it, whatever the turn."""

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms.physics_operations import ASSIGN_SUBLATTICES
from atomseg_app.errors import UserError
from atomseg_app.simulate.crystals import structures
from atomseg_app.simulate.projection import project
from tests.atoms.crystals import columns_at, crystal


def drawn(name, zone, *, pm_per_px, seen, turn_deg=0.0, calibrated=True):
    """Columns of a bundled crystal that hold one of some atoms, and which projected column each is, strongest 0."""
    projection = project(next(s for s in structures() if str(s) == name), zone)
    plane = np.stack([projection.a_pm, projection.b_pm])
    strength = np.array([sum(count * z**1.7 for z, count in atoms) for atoms in projection.atoms])
    order = [k for k in np.argsort(-strength, kind="stable") if {z for z, _ in projection.atoms[k]} & seen]
    places = (np.stack([projection.x_pm, projection.y_pm], axis=1) @ np.linalg.inv(plane))[order]
    look = {"turn_deg": turn_deg, "noise_px": 0.2, "size_px": 600}
    columns, site = crystal(*(plane / pm_per_px), sites=places.tolist(), weights=strength[order], **look)
    size = pm_per_px / 1000 if calibrated else None
    return columns_at(columns.xy_px, columns.table["amplitude"], 0.2, 600, (size, size)), site


def assigned(columns, **parameters):
    return operations.run(ASSIGN_SUBLATTICES, (columns,), ASSIGN_SUBLATTICES.parse(parameters), operations.Report())


@pytest.mark.parametrize("turn_deg", [0, 31])
@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize(
    ("name", "zone", "seen", "elements"),
    [("SrTiO3", (0, 0, 1), {38, 22}, ["Sr", "O+Ti"]), ("MoS2 2H sheet", (0, 0, 1), {42, 16}, ["Mo", "S"])],
)
def test_columns_are_named_by_the_crystal(name, zone, seen, elements, turn_deg, calibrated):
    columns, site = drawn(name, zone, pm_per_px=12, seen=seen, turn_deg=turn_deg, calibrated=calibrated)
    found = assigned(columns, crystal=name, zone=zone)
    np.testing.assert_array_equal(found.table["sublattice"], site)
    assert found.metadata["sublattices"][: len(elements)] == elements


def test_another_crystal_or_none_is_one_sentence():
    columns, _ = drawn("SrTiO3", (0, 0, 1), pm_per_px=12, seen={38, 22})
    with pytest.raises(UserError, match=r"no grain fits MoS2 2H sheet"):
        assigned(columns, crystal="MoS2 2H sheet")
    with pytest.raises(UserError, match="no crystal 'Unobtainium'"):
        assigned(columns, crystal="Unobtainium")
