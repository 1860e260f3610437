"""Columns from mask images: discs with known centres, touching discs, scikit-image's watershed beside ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from atomseg_app.atoms.locators import locate, typical_radius
from atomseg_app.atoms.watershed import HIGH, LOW, centroids, regions

METHODS = ("watershed", "split-watershed", "hough", "log")


def discs(xy: np.ndarray, radius: float, shape: tuple[int, int], soft: float = 0.6) -> np.ndarray:
    """Mask with discs of soft edges, as a network answers."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    nearest = cKDTree(xy).query(np.column_stack([x.ravel(), y.ravel()]))[0].reshape(shape)
    return 1 / (1 + np.exp((nearest - radius) / soft))


def scattered(rng: np.random.Generator, least: float, size: int = 160, count: int = 80) -> np.ndarray:
    """Random places at least so far from each other, off the border."""
    kept = np.zeros((0, 2))
    for place in rng.uniform(8, size - 9, (4000, 2)):
        if len(kept) < count and (np.hypot(*(place - kept).T) >= least).all():
            kept = np.vstack([kept, place])
    return kept


def errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances of true places to the found ones, which are as many."""
    assert len(found) == len(true)
    return np.asarray(cKDTree(found).query(true)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("radius", [2.5, 4.0, 6.0])
def test_discs_apart_are_all_located(method: str, radius: float, rng: np.random.Generator) -> None:
    true = scattered(rng, 2 * radius + 4)
    mask = discs(true, radius, (160, 160)) + rng.normal(0, 0.02, (160, 160))
    assert errors(locate(mask, method), true).max() < (0.9 if method == "hough" else 0.45)
    assert typical_radius(mask) == pytest.approx(radius, abs=0.2)


@pytest.mark.parametrize("method", ["split-watershed", "hough", "log"])
def test_touching_discs_are_told_apart(method: str) -> None:
    """Dumbbells whose discs of radius 4 px overlap by 1 px; the published watershed sees one column in each."""
    middle = np.array([(x, y) for x in range(20, 150, 26) for y in range(20, 150, 26)], float)
    half = np.array([2.8, 2.1])
    true = np.vstack([middle - half, middle + half])
    mask = discs(true, 4.0, (160, 160))
    assert len(locate(mask, "watershed")) == len(middle)
    assert errors(locate(mask, method, radius_px=4.0), true).max() < 1.0


def test_single_discs_are_not_cut(rng: np.random.Generator) -> None:
    true = scattered(rng, 22, size=240, count=40)
    for soft in (0.3, 1.5):
        mask = np.clip(discs(true, 7.3, (240, 240), soft) + rng.normal(0, 0.05, (240, 240)), 0, 1)
        assert len(locate(mask, "split-watershed")) == len(true)


def test_centroids_are_those_of_scipy(rng: np.random.Generator) -> None:
    labels, count = ndimage.label(rng.random((60, 70)) > 0.7)
    expected = np.array(ndimage.center_of_mass(np.ones(labels.shape), labels, range(1, count + 1)))
    assert np.allclose(centroids(labels.astype(np.int64)), expected[:, ::-1])


def test_the_watershed_agrees_with_scikit_image(rng: np.random.Generator) -> None:
    """Flooding the slopes from the same sure parts, as the published program does with that library."""
    segmentation = pytest.importorskip("skimage.segmentation")
    true = scattered(rng, 13)
    heights = rng.uniform(0.6, 1, len(true))
    owner = cKDTree(true).query(np.mgrid[:160, :160][::-1].reshape(2, -1).T)[1].reshape(160, 160)
    mask = discs(true, 4.0, (160, 160), soft=1.0) * heights[owner]
    sure = np.where(mask > HIGH, 2, np.where(mask < LOW, 1, 0))
    slope = np.hypot(ndimage.sobel(mask, 0), ndimage.sobel(mask, 1))
    theirs, count = ndimage.label(segmentation.watershed(slope, sure) == 2)
    places = np.array(ndimage.center_of_mass(theirs > 0, theirs, range(1, count + 1)))[:, ::-1]
    ours = locate(mask, "watershed")
    assert errors(ours, places).max() < 0.4
    assert np.sqrt(np.mean(errors(ours, places) ** 2)) < 0.15
    assert np.sqrt(np.mean(errors(ours, true) ** 2)) < 1.3 * np.sqrt(np.mean(errors(places, true) ** 2))


def test_cutting_agrees_with_scikit_image_on_touching_discs() -> None:
    segmentation = pytest.importorskip("skimage.segmentation")
    feature = pytest.importorskip("skimage.feature")
    true = np.array([(20.0, 20), (29, 20), (60, 30), (66, 38), (100, 100), (100, 111), (111, 100)])
    inside = discs(true, 5.5, (128, 128)) > 0.5
    distance = ndimage.distance_transform_edt(inside)
    peaks = feature.peak_local_max(ndimage.gaussian_filter(distance, 1), min_distance=3, labels=inside.astype(int))
    marks = np.zeros(inside.shape, int)
    marks[tuple(peaks.T)] = range(1, len(peaks) + 1)
    theirs = segmentation.watershed(-distance, marks, mask=inside)
    places = np.array(ndimage.center_of_mass(inside, theirs, range(1, len(peaks) + 1)))[:, ::-1]
    assert len(places) == len(true)
    assert errors(centroids(regions(inside.astype(float), split=True)), places).max() < 0.5


def test_holes_are_filled_and_weak_columns_left_out() -> None:
    mask = discs(np.array([(20.0, 20.0)]), 6, (41, 61))
    mask[20, 20] = 0
    mask[5:9, 40:44] = 0.9 * HIGH
    assert np.allclose(locate(mask, "watershed"), [(20, 20)], atol=1e-6)
    assert regions(mask)[20, 20] == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_turned_mask_gives_turned_places(method: str, rng: np.random.Generator) -> None:
    mask = discs(scattered(rng, 14), 4.0, (160, 160))
    turned = locate(np.ascontiguousarray(mask.T), method)[:, ::-1]
    assert errors(turned, locate(mask, method)).max() < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_masks_without_columns(method: str) -> None:
    for mask in (np.zeros((40, 50)), np.full((40, 50), 0.2), np.zeros((2, 2))):
        assert locate(mask, method).shape == (0, 2)


@pytest.mark.parametrize("method", METHODS)
def test_senseless_masks_are_refused(method: str) -> None:
    with pytest.raises(ValueError, match="no finite image"):
        locate(np.full((8, 8), np.nan), method)
    with pytest.raises(ValueError, match="no finite image"):
        locate(np.zeros(8), method)


def test_unknown_ways_and_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="'guess'"):
        locate(np.zeros((8, 8)), "guess")
    with pytest.raises(ValueError, match="above that of the columns"):
        regions(np.zeros((8, 8)), low=0.6, high=0.5)
