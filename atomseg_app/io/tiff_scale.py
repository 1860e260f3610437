"""Pixel sizes of TIFF files: each program writes them elsewhere.

In order: OME-XML, ImageJ, DigitalMicrograph's private tags, Olympus SIS, FEI, Zeiss, TVIPS, JEOL's report, and at last
the resolution in pixels per cm or inch, where it is finer than any printer's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from atomseg_app.io.units import kilovolts, length_nm

if TYPE_CHECKING:
    import tifffile

_FINEST_PRINT_NM = 10_000.0
"""A resolution coarser than this is that of paper or a screen (72 dpi is 0.35 mm), not of a specimen."""
_NM_PER_UNIT = {2: 25.4e6, 3: 1e7}
_MAX_TEXT = 1 << 22


@dataclass(frozen=True)
class Calibration:
    """Sizes in nm (y, x), distance of slices, tilt angles in degrees and voltage, as far as a file tells.

    ``is_volume`` is what this program writes among ImageJ's properties.
    """

    pixel_size_nm: tuple[float | None, float | None] = (None, None)
    spacing_nm: float | None = None
    tilt_deg: tuple[float, ...] = ()
    kV: float | None = None  # noqa: N815
    is_volume: bool = False


def calibration_of(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration:
    """Calibration from the first source that has one."""
    found = Calibration()
    for source in (_ome, _imagej, _digital_micrograph, _olympus, _fei, _zeiss, _tvips, _jeol):
        calibration = source(tiff, page)
        if calibration is not None:
            if None not in calibration.pixel_size_nm:
                return calibration
            found = calibration
    y, x = _resolution(page)
    step = _NM_PER_UNIT.get(_code(_tag(page, "ResolutionUnit")))
    sizes = (step / y, step / x) if step and x and y else (None, None)
    if tiff.is_imagej or max(size or math.inf for size in sizes) > _FINEST_PRINT_NM:
        return found
    return replace(found, pixel_size_nm=sizes)


def _ome(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    text = tiff.ome_metadata if tiff.is_ome else None
    root = _xml(text)
    if root is None:
        return None
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    sizes = [_attribute_nm(pixels, axis) for axis in "YXZ"]
    return Calibration((sizes[0], sizes[1]), sizes[2])


def _attribute_nm(pixels: ElementTree.Element, axis: str) -> float | None:
    return length_nm(_number(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit", "µm"))


def _imagej(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    metadata = tiff.imagej_metadata if tiff.is_imagej else None
    if not isinstance(metadata, dict):
        return None
    unit = metadata.get("unit")
    y, x = _resolution(page)
    sizes = (length_nm(1 / y, unit) if y else None, length_nm(1 / x, unit) if x else None)
    slices = int(_number(metadata.get("slices")) or 1) > 1
    spacing = length_nm(_number(metadata.get("spacing")), unit) if slices else None
    return Calibration(sizes, spacing, is_volume=metadata.get("kind") == "volume")


def _digital_micrograph(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    """Tags 65003/65009 are unit and step of x, 65004/65010 of y, 65005/65011 of the third axis."""
    tags = {code: page.tags[code].value for code in (65003, 65004, 65005, 65009, 65010, 65011) if code in page.tags}
    if 65009 not in tags:
        return None
    x, y, z = (length_nm(_number(tags.get(code + 6)), tags.get(code)) for code in (65003, 65004, 65005))
    return Calibration((y, x), z)


def _olympus(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    tag = _tag(page, "OlympusSIS")
    if not isinstance(tag, dict):
        return None
    return Calibration((_metres(tag.get("pixelsizey")), _metres(tag.get("pixelsizex"))))


def _fei(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    tag = _tag(page, "FEI_SFEG") or _tag(page, "FEI_HELIOS") or _tag(page, "FEI_TITAN")
    if not isinstance(tag, dict):
        return None
    scan: dict[str, Any] = next(
        (tag[name] for name in ("Scan", "EScan", "IScan") if isinstance(tag.get(name), dict)), {}
    )
    beam = tag.get("Beam") if isinstance(tag.get("Beam"), dict) else {}
    sizes = _metres(scan.get("PixelHeight")), _metres(scan.get("PixelWidth"))
    return Calibration(sizes, kV=kilovolts(f"{(beam or {}).get('HV')} V"))


def _zeiss(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    tag = _tag(page, "CZ_SEM")
    entry = (tag.get("ap_image_pixel_size") or tag.get("ap_pixel_size")) if isinstance(tag, dict) else None
    if not isinstance(entry, tuple) or len(entry) < 3:
        return None
    size = length_nm(_number(entry[1]), entry[2])
    return Calibration((size, size))


def _tvips(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    tag = _tag(page, "TVIPS")
    if not isinstance(tag, dict):
        return None
    return Calibration(
        (length_nm(_number(tag.get("PixelSizeY")), "nm"), length_nm(_number(tag.get("PixelSizeX")), "nm"))
    )


def _jeol(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Calibration | None:
    """JEOL SightX: the resolution of the picture divided by the magnification in the report, in magnifying modes."""
    root = _xml(_tag(page, "ImageDescription")) if _tag(page, "Make") == "JEOL Ltd." else None
    if root is None or root.tag != "TemReporter":
        return None
    imaging = root.find("ImageFormingSystem")
    kilo = kilovolts(f"{root.findtext('ElectronGun/AccelerationVoltage')} V")
    mode = imaging.findtext("ModeString") if imaging is not None else None
    magnification = _number(imaging.findtext("SelectorValue")) if imaging is not None else None
    y, x = _resolution(page)
    step = _NM_PER_UNIT.get(_code(_tag(page, "ResolutionUnit")))
    if mode not in ("MAG", "SAMAG", "LOWMAG") or not magnification or not step or not x or not y:
        return Calibration(kV=kilo)
    return Calibration((step / y / magnification, step / x / magnification), kV=kilo)


def _resolution(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    """Pixels per unit (y, x), None where unset (1/1 counts as unset only without a unit, which the callers check)."""
    return _ratio(_tag(page, "YResolution")), _ratio(_tag(page, "XResolution"))


def _ratio(value: Any) -> float | None:
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    return float(value[0]) / float(value[1])


def _tag(page: tifffile.TiffPage, name: str) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _code(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


def _metres(value: Any) -> float | None:
    return length_nm(_number(value), "m")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _xml(text: Any) -> ElementTree.Element | None:
    """Root of an XML text; None for what is none, is very long, or declares entities that could expand."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT or re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        return None
    try:
        return ElementTree.fromstring(re.sub(r"^[\s\x00\x01]+|[\x00\x01]", "", text).encode())
    except (ElementTree.ParseError, ValueError):
        return None
