"""Whether volumes can be drawn here: OpenGL 2.1 and VisPy, asked before anything depends on it."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from PySide6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext, QSurfaceFormat

_LEAST_VERSION = (2, 1)
_GL_VERSION, _GL_RENDERER, _GL_MAX_3D_TEXTURE_SIZE = 0x1F02, 0x1F01, 0x8073
_SOFTWARE = re.compile(r"llvmpipe|softpipe|swrast|software|SwiftShader|GDI Generic", re.IGNORECASE)


@dataclass(frozen=True)
class GlFacts:
    """``problem`` is a sentence for the user, empty where volumes can be drawn; ``report`` is for a developer."""

    problem: str
    report: str
    software: bool = False


def gl_facts() -> GlFacts:
    """Try an OpenGL context and look for VisPy, without importing it."""
    platform = QGuiApplication.platformName()
    missing = [name for name in ("vispy", "OpenGL") if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join({"vispy": "VisPy", "OpenGL": "PyOpenGL"}[name] for name in missing)
        return GlFacts(
            f"{names} is not installed, so volumes cannot be drawn in 3D. "
            "Install it with: pip install 'atomseg-app[gui]'",
            f"platform {platform}, missing {missing}",
        )
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.setFormat(QSurfaceFormat.defaultFormat())
    surface.create()
    if platform == "offscreen" or not context.create() or not context.makeCurrent(surface):
        return GlFacts(
            "No OpenGL is available on this display, so volumes cannot be drawn in 3D. The slices work without it. "
            "Update the graphics driver; over a remote connection, use one that passes OpenGL on.",
            f"platform {platform}, no OpenGL context",
        )
    functions = context.functions()
    version, renderer = str(functions.glGetString(_GL_VERSION)), str(functions.glGetString(_GL_RENDERER))
    context.doneCurrent()
    report = f"platform {platform}, OpenGL {version}, {renderer}"
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < _LEAST_VERSION:
        return GlFacts(f"3D needs OpenGL 2.1, but this display has {version}. The slices work without it.", report)
    return GlFacts("", report, software=bool(_SOFTWARE.search(renderer)))
