"""``python -m atomseg_app``: the window or a command, whichever the arguments are for."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from atomseg_app import __version__, start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the window or a command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"AtomSeg {__version__}\n")
        return 0
    if arguments[:1] == ["--info"]:
        from atomseg_app import doctor

        sys.stdout.write(doctor.text(doctor.collect(with_torch=False)))
        return 0
    if start.opens_window(arguments):
        return window(arguments)
    from atomseg_app.cli import main as command_line

    return command_line(arguments)


def window(arguments: Sequence[str] | None = None) -> int:
    """Open the window, or say why it cannot be opened; returns an exit code."""
    from atomseg_app import doctor, places

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    log = places.log_folder() / "start-failure.txt"
    if not start.has_display():
        sys.stderr.write(start.NO_DISPLAY)
        return 2
    if problem := doctor.window_problem():
        start.show_failure(problem, log, arguments)
        return 1

    def on_exception(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        details = "".join(traceback.format_exception(kind, problem, trace))
        start.show_failure(f"AtomSeg could not start: {problem}\n\n{details}", log, arguments)

    sys.excepthook = on_exception  # until the window, once it stands, puts its own dialog in this place
    from atomseg_app.gui.app import main as open_window

    return open_window(arguments)


if __name__ == "__main__":
    sys.exit(main())
