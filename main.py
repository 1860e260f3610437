"""AtomSeg: ``python3 main.py`` sets everything up on the first start and opens the window.

It needs nothing but Python 3.11 or newer. Until the version is known to be right, only syntax that older ones read.
"""

import os
import subprocess
import sys

CHECKOUT = os.path.dirname(os.path.abspath(__file__))

USAGE = """\
python3 main.py [FILES...]        open the window, with these files
python3 main.py COMMAND ...       run a command: find-columns, info, doctor, bench (COMMAND --help says more)
python3 main.py install-launcher  put AtomSeg into the desktop's menu (--remove takes it out)
python3 main.py window-check      show the window for a second and print what it measured, as one line of JSON

options of the window: --open FILE, --safe-mode, --reset-settings
--no-setup    never install anything; fail if something is missing
--version     print the version            --info    print what AtomSeg runs on            --help    this text

The first start makes the environment .venv beside this file (in your data folder if that is read-only).
ATOMSEG_TORCH_INDEX    address of a package index with another build of torch, for CUDA
ATOMSEG_REQUIREMENTS   a requirements file to install in place of packaging/requirements.txt
ATOMSEG_HOME           one folder for everything AtomSeg keeps: settings, logs, recovery, cache
"""


def main(arguments):
    """Set up where needed, then hand over to the program inside its environment; returns an exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the very check that keeps older ones out
        sys.stderr.write(
            f"AtomSeg needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}).\n"
            "Install a newer one, then start again with it, for example: python3.11 main.py\n"
        )
        return 1
    sys.path[:0] = [os.path.join(CHECKOUT, "packaging"), CHECKOUT]
    import environment
    import installer
    import launcher
    from progress import Progress

    from atomseg_app import __version__, start

    no_setup = "--no-setup" in arguments
    launched = "--launched" in arguments
    arguments = [argument for argument in arguments if argument not in ("--no-setup", "--launched")]
    if arguments[:1] == ["--version"]:
        print("AtomSeg " + __version__)
        return 0
    if arguments[:1] in (["--help"], ["-h"]):
        print(USAGE, end="")
        return 0
    if arguments[:1] == ["install-launcher"] and arguments[1:]:
        return launcher.main(arguments[1:])  # takes the entry out, which needs no environment
    window = start.opens_window(arguments)
    if window and not start.has_display():
        sys.stderr.write(start.NO_DISPLAY)
        return 2
    log = environment.user_data_folder() / "start-failure.txt"
    progress = Progress(in_dialog=launched)
    try:
        python = environment.ready_python() if no_setup else environment.ensure(progress=progress)
        if python is None:
            raise installer.SetupError(
                "AtomSeg is not set up here, and --no-setup forbids it. Start without --no-setup."
            )
        if arguments[:1] == ["install-launcher"]:
            return launcher.main([])
    except installer.SetupError as problem:
        if window:
            start.show_failure(str(problem), log, arguments)
        else:
            sys.stderr.write(str(problem) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. The next start goes on where this one stopped.\n")
        return 130
    finally:
        progress.close()
    return hand_over([python, "-m", "atomseg_app", *arguments], log if launched else None)


def hand_over(command, failure_log):
    """Become the program; stay behind only to show its failure (with ``failure_log``) or where there is no exec."""
    # The environment is closed: no packages from outside it, and no modules from the folder of the user's data.
    outside = ("PYTHONHOME", "PYTHONPATH")
    variables = {name: value for name, value in os.environ.items() if name not in outside}
    variables["PYTHONSAFEPATH"] = "1"
    if command[0] == sys.executable:
        variables["PYTHONPATH"] = CHECKOUT
    if failure_log:
        return supervise(command, variables, failure_log)
    if os.name == "nt":
        return subprocess.call(command, env=variables)
    sys.stdout.flush()
    sys.stderr.flush()
    return os.execve(command[0], command, variables)


def supervise(command, variables, failure_log):
    """Run the window from a launcher, where no terminal shows its last words: a failure is shown in a dialog."""
    import signal

    from atomseg_app import start

    failure_log.parent.mkdir(parents=True, exist_ok=True)
    words = failure_log.with_name("window-output.txt")
    with words.open("wb") as output:
        code = subprocess.call(
            command, env=dict(variables, ATOMSEG_SUPERVISED="1"), stdin=subprocess.DEVNULL, stderr=output
        )
    asked_to_end = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if code and -code not in asked_to_end:
        how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
        said = words.read_text("utf-8", errors="replace").splitlines()[-20:]
        start.show_failure("\n".join([f"AtomSeg ended unexpectedly ({how}).", "", *said]), failure_log, command)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
