"""Painted voxels without a window: locks, undo by exclusive-or, counts, masks of every shape."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from atomseg_app.gui.segmentation import masks
from atomseg_app.gui.segmentation.label_store import Box, LabelStore
from atomseg_app.io import live_arrays
from atomseg_app.label_classes import IGNORE

SHAPE = (20, 150, 170)


@pytest.fixture(params=["in memory", "in a file"])
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> LabelStore:
    if request.param == "in a file":
        monkeypatch.setenv("ATOMSEG_HOME", str(tmp_path_factory.mktemp("home")))
        monkeypatch.setattr(live_arrays, "LIVE_BYTES", 1)
    store = LabelStore.empty(SHAPE)
    assert (live_arrays.file_of(store.values) is not None) == (request.param == "in a file")
    return store


def dab(store: LabelStore, start: tuple[int, int, int], size: tuple[int, int, int], value: int) -> None:
    stop = tuple(a + b for a, b in zip(start, size, strict=True))
    store.paint(Box(start, stop), np.ones(size, bool), value)  # type: ignore[arg-type]


def counted(store: LabelStore) -> None:
    """Counts are those of the voxels, whatever was done."""
    np.testing.assert_array_equal(store.counts, np.bincount(store.values.ravel(), minlength=256))
    np.testing.assert_array_equal(store.painted_slices(), np.flatnonzero((store.values != IGNORE).any((1, 2))))


def test_random_strokes_are_undone_and_redone_exactly(store, rng):
    states, patches = [store.values.copy()], []
    for number in range(30):
        store.begin()
        for _ in range(rng.integers(1, 5)):
            start = tuple(int(v) for v in rng.integers(-10, np.array(SHAPE)))
            size = tuple(int(v) for v in rng.integers(1, 40, 3))
            mask = rng.random(size) < 0.5
            stop = tuple(a + b for a, b in zip(start, size, strict=True))
            store.paint(Box(start, stop), mask, IGNORE if number % 5 == 4 else number % 3)
        patch = store.end()
        if patch is not None:
            patches.append(patch)
            states.append(store.values.copy())
            counted(store)
    for patch, before in zip(reversed(patches), states[-2::-1], strict=True):
        store.apply(patch)
        np.testing.assert_array_equal(store.values, before)
        counted(store)
    for patch, after in zip(patches, states[1:], strict=True):
        store.apply(patch)
        np.testing.assert_array_equal(store.values, after)


def test_a_stroke_keeps_only_what_it_touched(store):
    store.begin()
    dab(store, (3, 20, 20), (1, 10, 10), 1)
    patch = store.end()
    assert patch is not None
    assert len(patch.tiles) == 1
    assert patch.cost_bytes < 300, "100 voxels of one class pack well"
    store.begin()
    dab(store, (3, 20, 20), (1, 10, 10), 1)
    assert store.end() is None, "nothing changed, so there is no step"


def test_locked_classes_and_labelled_voxels_are_kept(store):
    store.begin()
    dab(store, (0, 0, 0), (2, 10, 10), 1)
    store.end()
    store.locked = frozenset({1})
    store.begin()
    dab(store, (0, 0, 0), (2, 10, 20), 2)
    dab(store, (0, 0, 0), (2, 10, 10), IGNORE)
    store.end()
    assert (store.values[:2, :10, :10] == 1).all()
    assert (store.values[:2, :10, 10:20] == 2).all()
    store.locked, store.only_empty = frozenset(), True
    store.begin()
    dab(store, (0, 0, 0), (2, 12, 20), 0)
    store.end()
    assert set(np.unique(store.values[:2, :10, :20])) == {1, 2}
    assert (store.values[:2, 10:12, :20] == 0).all()
    counted(store)


def test_what_lies_beyond_the_volume_is_left_out(store):
    store.begin()
    assert store.paint(Box((30, 0, 0), (31, 5, 5)), np.ones((1, 5, 5), bool), 1) is None
    assert store.paint(Box((-3, -3, -3), (1, 2, 2)), np.ones((4, 5, 5), bool), 1) == Box((0, 0, 0), (1, 2, 2))
    store.end()
    assert store.counts[1] == 4


def test_painting_needs_a_stroke(store):
    with pytest.raises(RuntimeError, match="strokes"):
        dab(store, (0, 0, 0), (1, 1, 1), 1)


@pytest.mark.parametrize("radius", [3.0, 10.5, 40.0])
def test_a_drawn_brush_has_the_area_of_a_capsule(radius):
    start, end = (50.3, 60.1), (80.0, 120.7)
    _, mask = masks.capsule(start, end, radius)
    length = np.hypot(end[0] - start[0], end[1] - start[1])
    assert mask.sum() == pytest.approx(np.pi * radius**2 + 2 * radius * length, rel=0.02)


def test_a_brush_on_long_voxels_is_round_on_the_screen():
    window, mask = masks.capsule((0, 0), (0, 0), 20, (4.0, 1.0))
    assert (window[2] - window[0], window[3] - window[1]) == (11, 41)
    assert mask.sum() == pytest.approx(np.pi * 20**2 / 4, rel=0.03)


@pytest.mark.parametrize("aspect", [(1, 1, 1), (2, 1, 1)])
def test_a_ball_has_its_volume(aspect):
    first, mask = masks.ball((10.2, 11.4, 12.0), 9.0, aspect)
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 9**3 / aspect[0], rel=0.02)
    centre = np.array(first) + ndimage.center_of_mass(mask)
    np.testing.assert_allclose(centre, (10.2, 11.4, 12.0), atol=0.1)


def test_a_polygon_has_the_area_of_the_shoelace_formula(rng):
    angles = np.sort(rng.uniform(0, 2 * np.pi, 17))
    radii = rng.uniform(20, 60, 17)
    corners = [(75 + r * np.sin(a), 80 + r * np.cos(a)) for r, a in zip(radii, angles, strict=True)]
    _, mask = masks.polygon(corners, (150, 170))
    y, x = np.array(corners).T
    area = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    assert mask.sum() == pytest.approx(area, rel=0.02)
    window, outside = masks.polygon([(-20, -20), (-20, 10), (10, 10), (10, -20)], (150, 170))
    assert window[:2] == (0, 0)
    assert outside.sum() == 100


def test_flooding_finds_what_an_independent_labelling_finds(rng):
    same = ndimage.gaussian_filter(rng.normal(size=(90, 120)), 1.5) > 0
    parts, _ = ndimage.label(same)
    for seed in ((0, 0), (45, 60), (89, 119), (20, 100)):
        wanted = (parts == parts[seed]) & same if same[seed] else np.zeros_like(same)
        np.testing.assert_array_equal(masks.flooded(same, seed), wanted)


def test_copies_are_counted_and_can_take_zeros_for_unlabelled(store, rng):
    values = rng.choice([0, 1, 2, IGNORE], SHAPE).astype(np.uint8)
    copied = LabelStore.copy_of(values)
    np.testing.assert_array_equal(copied.values, values)
    counted(copied)
    sparse = LabelStore.copy_of(values, zero_is_empty=True)
    np.testing.assert_array_equal(sparse.values, np.where(values == 0, IGNORE, values))
    counted(sparse)
    assert store.cost_bytes == (4096 if live_arrays.file_of(store.values) else store.values.nbytes)
