"""Looks at torch or Qt in a process of its own, where a crash or a hang hurts nobody: ``-m atomseg_app.probe torch``.

Prints one line of JSON. Only :mod:`atomseg_app.doctor` runs it, by name, so that it imports neither.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def look_at_torch() -> dict[str, Any]:
    """Build of torch, its devices, and the time of one product on each as proof that it computes."""
    import torch

    facts: dict[str, Any] = {
        "version": torch.__version__,
        "built for": torch.version.cuda or torch.version.hip or "CPU",
    }
    facts["threads"] = torch.get_num_threads()
    facts["devices"] = {"cpu": _computes("cpu")}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        title = f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB, {properties.major}.{properties.minor}"
        facts["devices"][f"cuda:{index} ({title})"] = _computes(f"cuda:{index}")
    if torch.backends.mps.is_available():
        facts["devices"]["mps"] = _computes("mps")
    return facts


def _computes(device: str) -> str:
    """``works (0.1 ms)``, or the error of a device that is listed but cannot compute."""
    import torch

    try:
        ones = torch.ones(256, 256, device=device)
        right = bool((ones @ ones == 256).all())
        start = time.perf_counter()
        right &= bool((ones @ ones == 256).all())
    except RuntimeError as problem:
        return f"broken: {str(problem).splitlines()[0]}"
    return f"works ({1e3 * (time.perf_counter() - start):.2f} ms a product)" if right else "broken: wrong numbers"


def look_at_qt() -> dict[str, Any]:
    """Qt's version and platform, the screens, and the OpenGL it gets."""
    from PySide6 import QtCore, QtGui

    application = QtGui.QGuiApplication(["AtomSeg"])
    screens = [
        f"{screen.name()} {screen.size().width()} x {screen.size().height()} at {screen.devicePixelRatio():g}x"
        for screen in application.screens()
    ]
    facts = {"Qt": QtCore.qVersion(), "platform": application.platformName(), "screens": screens}
    surface, context = QtGui.QOffscreenSurface(), QtGui.QOpenGLContext()
    surface.create()
    if context.create() and context.makeCurrent(surface):
        gl = context.functions()
        names = {"version": 0x1F02, "renderer": 0x1F01, "vendor": 0x1F00}
        facts["OpenGL"] = ", ".join(str(gl.glGetString(code)) for code in names.values())
        context.doneCurrent()
    else:
        facts["OpenGL"] = "none: pictures in 2D work, views in 3D do not"
    return facts


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"torch": look_at_torch, "qt": look_at_qt}[sys.argv[1]]()) + "\n")
