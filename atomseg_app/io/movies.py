"""Movies as MP4, animated GIF, or PNG files: written while the pictures come, there in full or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import FileError, UserError
from atomseg_app.io.atomic_write import atomic_path

Frame = npt.NDArray[np.uint8]
MOVIE_FORMATS = {".mp4": "MP4 video", ".gif": "Animated GIF", ".png": "PNG files, one a frame"}
_QUALITY = 8
"""Of 10: grain of a micrograph stays visible, and files stay some MB."""


def write_movie(path: Path, frames: Iterable[Frame], per_second: int) -> Path:
    """Write frames (y, x, 3) in the format of the extension; the path of the file, or of the first of several.

    Frames are taken one by one, so that a long movie needs no more memory than a short one; later ones are cut or
    filled up to the size of the first. If taking them raises, nothing is written. Raises FileError; UserError for no
    frames, another extension, or where MP4 cannot be made.
    """
    writers = {".mp4": _write_mp4, ".gif": _write_gif, ".png": _write_pngs}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"A movie is written as one of {', '.join(writers)}; end the name of {path.name} so.")
    return writer(path, _of_one_size(frames), per_second)


def _of_one_size(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Frames of the first one's size, which is made even, as videos need. Raises UserError for none."""
    shape: tuple[int, int] | None = None
    for frame in frames:
        shape = shape or (max(2, frame.shape[0] // 2 * 2), max(2, frame.shape[1] // 2 * 2))
        height, width = shape
        if frame.shape[:2] != shape:
            fitting = np.zeros((height, width, 3), np.uint8)
            part = frame[:height, :width]
            fitting[: part.shape[0], : part.shape[1]] = part
            frame = fitting
        yield np.ascontiguousarray(frame)
    if shape is None:
        raise UserError("A movie needs frames.")


def _write_mp4(path: Path, frames: Iterator[Frame], per_second: int) -> Path:
    """H.264 in the colours that every player knows."""
    try:
        import imageio_ffmpeg  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise UserError(
            "MP4 needs imageio-ffmpeg, which is not installed (pip install imageio-ffmpeg); choose GIF or PNG files."
        ) from None
    first = next(frames)
    height, width = first.shape[:2]
    with atomic_path(path) as temporary:
        try:
            video = imageio_ffmpeg.write_frames(
                str(temporary), (width, height), fps=per_second, quality=_QUALITY, macro_block_size=2,
                output_params=["-movflags", "+faststart"], ffmpeg_log_level="error",
            )  # fmt: skip
            with contextlib.closing(video):
                video.send(None)
                video.send(first)
                for frame in frames:
                    video.send(frame)
        except RuntimeError as problem:  # of ffmpeg: none for this system, or it could not write
            raise FileError(f"{path} could not be written: {str(problem).splitlines()[0]}") from None
    return path


def _write_gif(path: Path, frames: Iterator[Frame], per_second: int) -> Path:
    """An endless GIF, each frame with colours of its own."""
    from PIL import Image

    pictures = (Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames)
    first = next(pictures)
    with atomic_path(path) as temporary:
        first.save(
            temporary, format="GIF", save_all=True, append_images=pictures, duration=round(1000 / per_second), loop=0
        )
    return path


def _write_pngs(path: Path, frames: Iterator[Frame], per_second: int) -> Path:
    """NAME_0001.png and so on; they get their names when the last one is there."""
    from PIL import Image

    with contextlib.ExitStack() as whole:
        for number, frame in enumerate(frames, 1):
            place = path.with_name(f"{path.stem}_{number:04d}{path.suffix}")
            Image.fromarray(frame).save(whole.enter_context(atomic_path(place)), format="PNG")
    return path.with_name(f"{path.stem}_0001{path.suffix}")
