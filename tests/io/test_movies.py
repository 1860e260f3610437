"""Movies: every format plays what was given, and what is given up leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atomseg_app.errors import UserError
from atomseg_app.io.movies import Frame, write_movie

HEIGHT, WIDTH, FRAMES = 46, 65, 7


def frames(count: int = FRAMES) -> Iterator[Frame]:
    """A bright bar that goes from left to right over a dark ground."""
    for number in range(count):
        frame = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        frame[:, 8 * number : 8 * number + 8] = (230, 160, 0)
        yield frame


def bar_at(picture: np.ndarray) -> float:
    """Where the bar is."""
    bright = picture[..., 0].astype(float).mean(0) > 120
    return float(np.flatnonzero(bright).mean())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its reader leaves pipes open
def test_mp4_has_every_frame_in_order_and_an_even_size(tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = write_movie(tmp_path / "a bar é.mp4", frames(), 5)
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    assert about["size"] == (WIDTH - 1, HEIGHT)
    assert about["fps"] == 5
    assert about["codec"].startswith("h264")
    assert "yuv420p" in about["pix_fmt"]
    shown = [np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH - 1, 3) for raw in reader]
    assert len(shown) == FRAMES
    np.testing.assert_allclose([bar_at(each) for each in shown], 8 * np.arange(FRAMES) + 3.5, atol=1.2)


def test_gif_and_png_files_have_every_frame(tmp_path: Path) -> None:
    with Image.open(write_movie(tmp_path / "bar.gif", frames(), 10)) as movie:
        assert movie.n_frames == FRAMES
        assert movie.info["duration"] == 100
        movie.seek(3)
        assert bar_at(np.asarray(movie.convert("RGB"))) == pytest.approx(27.5, abs=0.6)
    assert write_movie(tmp_path / "bar.png", frames(), 10) == tmp_path / "bar_0001.png"
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"bar_{n:04d}.png" for n in range(1, FRAMES + 1)]


def test_frames_are_taken_one_by_one_and_brought_to_one_size(tmp_path: Path) -> None:
    def of_two_sizes() -> Iterator[Frame]:
        yield np.full((20, 20, 3), 200, np.uint8)
        yield np.full((30, 11, 3), 200, np.uint8)

    write_movie(tmp_path / "two.png", of_two_sizes(), 5)
    second = np.asarray(Image.open(tmp_path / "two_0002.png"))
    assert second.shape == (20, 20, 3)
    assert second[:, :11].min() == 200
    assert second[:, 11:].max() == 0


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".png"])
def test_what_is_given_up_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, ending: str) -> None:
    def stopped() -> Iterator[Frame]:
        yield from frames(4)
        raise UserError("enough")

    before = tmp_path / f"bar{ending}"
    before.write_bytes(b"older")
    with pytest.raises(UserError, match="enough"):
        write_movie(before, stopped(), 5)
    assert [path.name for path in tmp_path.iterdir()] == [before.name]
    assert before.read_bytes() == b"older"


def test_no_frames_and_unknown_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs frames"):
        write_movie(tmp_path / "none.gif", iter(()), 5)
    with pytest.raises(UserError, match=r"\.mp4, \.gif, \.png"):
        write_movie(tmp_path / "bar.avi", frames(), 5)
    assert not list(tmp_path.iterdir())
