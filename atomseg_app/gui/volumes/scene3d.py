"""The 3D picture of a volume: VisPy nodes for volume, surfaces and box. Imported only when 3D is first shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtGui import QColor
from vispy import app, gloo, scene
from vispy.color import Color, Colormap
from vispy.visuals.filters.clipping_planes import PlanesClipper
from vispy.visuals.transforms import STTransform

from atomseg_app.gui.volumes.part import Part

Floats = npt.NDArray[np.float32]

_GL_MAX_3D_TEXTURE_SIZE = 0x8073
_FALLBACK_LIMIT = 2048
_ALONG_Z = 90.0  # VisPy's azimuth, counted about y, from which z points away from the viewer
_LIGHT = (0.25, -0.35, -1.0)
"""Direction of the light as the viewer sees it: a little to the right, down, and away."""
_AMBIENT = (1.0, 1.0, 1.0, 0.4)
FIRST_VIEW = (30.0, 20.0)
"""Azimuth and elevation in degrees from which a volume is looked at first."""


class Scene:
    """A canvas (``widget``) with one volume or surface. Lengths in it are nm, or voxels where sizes are unknown."""

    def __init__(self) -> None:
        app.use_app("pyside6")
        self.canvas = scene.SceneCanvas(keys=None, show=False)
        self.widget: Any = self.canvas.native
        self._view = self.canvas.central_widget.add_view()
        self._camera = scene.cameras.TurntableCamera(fov=30.0, up="+y")
        self._view.camera = self._camera
        self.canvas.events.draw.connect(self._light, position="first")
        self._volume: Any = None
        self._mesh: Any = None
        self._clip = np.empty((0, 2, 3))
        self._clipper: Any = None
        self._parts: list[tuple[Any, Any]] = []
        self._parts_shape, self._parts_scale = (1, 1, 1), (1.0, 1.0, 1.0)
        self._clip_shares: Sequence[tuple[float, float]] = ((0.0, 1.0),) * 3
        self._box = scene.visuals.Line(pos=np.zeros((2, 3)), connect="segments", parent=self._view.scene)
        self._cross = scene.visuals.Line(pos=np.zeros((6, 3)), connect="segments", width=1.5, parent=self._view.scene)
        self._cross.set_gl_state("translucent", depth_test=False)  # it is found within what is drawn, too
        self._cross.order, self._cross.visible = 20, False
        self._scale = (1.0, 1.0, 1.0)
        self._shape = (1, 1, 1)
        self._method = "mip"

    def texture_limit(self) -> int:
        """Most voxels a side that a 3D texture can have here."""
        self.canvas.set_current()
        try:
            found = int(gloo.gl.glGetParameter(_GL_MAX_3D_TEXTURE_SIZE))
        except (RuntimeError, TypeError, ValueError):
            return _FALLBACK_LIMIT
        return found if found > 0 else _FALLBACK_LIMIT

    def set_background(self, colour: QColor, ink: QColor) -> None:
        """Colours of the look."""
        self.canvas.bgcolor = Color(colour.name())
        self._box.set_data(color=Color(ink.name()))
        self.canvas.update()

    def set_volume(self, values: Floats, scale_zyx: Sequence[float], shape: tuple[int, int, int]) -> None:
        """Show values (z, y, x), ``scale_zyx`` long a voxel; ``shape`` is that of the whole volume."""
        self.clear()
        self._scale, self._shape = (scale_zyx[2], scale_zyx[1], scale_zyx[0]), (values.shape[0], *values.shape[1:])
        self._volume = scene.visuals.Volume(
            np.ascontiguousarray(values), method=self._method, parent=self._view.scene, relative_step_size=0.9,
            clipping_planes_coord_system="visual",
        )  # fmt: skip
        self._volume.transform = self._transform()
        self._show_box()
        self.reset_camera()

    def set_method(self, method: str) -> None:
        """``mip`` or ``translucent``."""
        self._method = method
        if self._volume is not None:
            self._volume.method = method
            self.canvas.update()

    def set_colours(self, rgba: Floats, low: float, high: float) -> None:
        """Colours (n, 4) from the low to the high limit, opacity last."""
        if self._volume is not None:
            self._volume.clim = (low, high if high > low else low + 1e-6)
            self._volume.cmap = Colormap([tuple(map(float, colour)) for colour in rgba])
            self.canvas.update()

    def show_volume(self, shown: bool) -> None:
        """Show or hide the volume (a surface takes its place)."""
        if self._volume is not None:
            self._volume.visible = shown
        if self._mesh is not None:
            self._mesh.visible = not shown
        self.canvas.update()

    def hide_volume(self) -> None:
        """Show neither volume nor its surface (other surfaces take their place)."""
        for node in (self._volume, self._mesh):
            if node is not None:
                node.visible = False
        self.canvas.update()

    def set_surface(self, vertices: Floats, faces: npt.NDArray[np.int32], colour: QColor) -> None:
        """Show a mesh: vertices (n, 3) as x, y, z in voxels of what :meth:`set_volume` was given, faces (m, 3)."""
        if self._mesh is not None:
            self._mesh.parent = None
            self._mesh = None
        if len(faces):
            self._mesh = scene.visuals.Mesh(
                vertices, faces, color=Color(colour.name()), shading="smooth", parent=self._view.scene
            )
            self._mesh.transform = self._transform()
            self._clipper = PlanesClipper(clipping_planes=self._clip, coord_system="visual")
            self._mesh.attach(self._clipper)
        self.canvas.update()

    def set_parts(self, parts: Sequence[Part], scale_zyx: Sequence[float], shape: tuple[int, ...]) -> None:
        """Show surfaces in a volume of ``shape`` with voxels ``scale_zyx`` long; translucent ones after the others."""
        for mesh, _ in self._parts:
            mesh.parent = None
        self._parts = []
        self._parts_shape = (shape[0], shape[1], shape[2])
        self._parts_scale = (scale_zyx[2], scale_zyx[1], scale_zyx[0])
        planes = _planes(self._clip_shares, self._parts_shape)
        for part in parts:
            if not len(part.faces) or part.opacity <= 0:
                continue
            red, green, blue = Color(part.colour).rgb
            mesh = scene.visuals.Mesh(
                part.vertices, part.faces, color=(red, green, blue, part.opacity), shading="smooth",
                parent=self._view.scene,
            )  # fmt: skip
            clear = part.opacity < 1
            mesh.order = 10 if clear else 0
            # The depth mask stays on: left off, the next frame could not clear its depths and would be black.
            mesh.set_gl_state("translucent" if clear else "opaque", depth_test=True, cull_face=False)
            mesh.transform = _placed(self._parts_scale)
            clipper = PlanesClipper(clipping_planes=planes, coord_system="visual")
            mesh.attach(clipper)
            self._parts.append((mesh, clipper))
        self.canvas.update()

    def set_clipping(self, limits_zyx: Sequence[tuple[float, float]]) -> None:
        """Show only what lies between two shares (0..1) of each axis (z, y, x)."""
        self._clip_shares = limits_zyx
        self._clip = _planes(limits_zyx, self._shape)
        if self._volume is not None:
            self._volume.clipping_planes = self._clip
        if self._mesh is not None:
            self._clipper.clipping_planes = self._clip
        for _, clipper in self._parts:
            clipper.clipping_planes = _planes(limits_zyx, self._parts_shape)
        self.canvas.update()

    def show_box(self, shown: bool) -> None:
        """Show or hide the box round the volume."""
        self._box.visible = shown
        self.canvas.update()

    def show_cross(
        self, place: tuple[int, int, int] | None, scale_zyx: Sequence[float], shape: tuple[int, ...],
        colours: Sequence[str],
    ) -> None:  # fmt: skip
        """Lines along (z, y, x) through a voxel of a volume of ``shape``, in their colours; None for none."""
        self._cross.visible = place is not None
        if place is not None:
            at = np.array([(p + 0.5) * s for p, s in zip(place, scale_zyx, strict=True)])
            ends = np.repeat(at[None], 6, axis=0)
            for axis, (size, step) in enumerate(zip(shape, scale_zyx, strict=True)):
                ends[2 * axis : 2 * axis + 2, axis] = 0.0, size * step
            pos = ends[:, ::-1] * (1.0, -1.0, -1.0)
            inks = np.repeat(np.array([Color(colour).rgba for colour in colours]), 2, axis=0)
            self._cross.set_data(pos=pos.astype(np.float32), color=inks.astype(np.float32))
        self.canvas.update()

    def reset_camera(self) -> None:
        """Look at the whole volume from the first direction."""
        z, y, x = (size * step for size, step in zip(self._shape, reversed(self._scale), strict=True))
        self._camera.center = (x / 2, -y / 2, -z / 2)
        self._camera.scale_factor = 1.7 * max(x, y, z)
        self.set_view(*FIRST_VIEW)

    def set_view(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Look from another side; (0, 0) is along the beam, as in the XY slice."""
        self._camera.azimuth, self._camera.elevation = azimuth_deg + _ALONG_Z, elevation_deg
        self.canvas.update()

    def view(self) -> tuple[float, float]:
        """Azimuth and elevation in degrees, as :meth:`set_view` takes them."""
        return self._camera.azimuth - _ALONG_Z, self._camera.elevation

    def picture(self) -> npt.NDArray[np.uint8]:
        """What is shown (y, x, rgba)."""
        self._light()
        rendered: npt.NDArray[np.uint8] = self.canvas.render()
        return rendered

    def turned(self, camera: Mapping[str, Any], by_deg: float) -> npt.NDArray[np.uint8]:
        """What would be shown (y, x, rgba) if a camera of :meth:`camera` were turned; what is shown stays."""
        now = self.camera()
        self.widget.setUpdatesEnabled(False)  # nothing is to be drawn again for a view that is gone at once
        try:
            self._camera.set_state({**camera, "azimuth": camera["azimuth"] + by_deg})
            return self.picture()
        finally:
            self._camera.set_state(now)
            self.widget.setUpdatesEnabled(True)

    def camera(self) -> dict[str, Any]:
        """Where the user looks from, for :meth:`turned`."""
        return dict(self._camera.get_state())

    def length_per_px(self) -> float:
        """Length of a pixel of the screen at the depth of what the camera turns about."""
        width, height = self.canvas.size
        length: float = self._camera.scale_factor / max(1, min(width, height))
        return length

    def clear(self) -> None:
        """Show nothing."""
        for node in (self._volume, self._mesh):
            if node is not None:
                node.parent = None
        self._volume = self._mesh = self._clipper = None
        self._clip = np.empty((0, 2, 3))
        self.canvas.update()

    def close(self) -> None:
        """Give the canvas back."""
        self.clear()
        self.canvas.close()

    def _light(self, _event: object = None) -> None:
        """Light from over the viewer's shoulder, before anything is drawn: what faces the viewer is always bright."""
        direction = tuple(float(part) for part in self._camera.transform.map((*_LIGHT, 0.0))[:3])
        for mesh in (self._mesh, *(mesh for mesh, _ in self._parts)):
            shading = None if mesh is None else mesh.shading_filter
            if shading is not None and shading.light_dir != direction:
                shading.light_dir, shading.ambient_light = direction, _AMBIENT

    def _transform(self) -> STTransform:
        return _placed(self._scale)

    def _show_box(self) -> None:
        z, y, x = (size * step for size, step in zip(self._shape, reversed(self._scale), strict=True))
        corners = np.array([[i * x, -j * y, -k * z] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float32)
        edges = [(a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1]
        self._box.set_data(pos=corners[np.array(edges).ravel()])


def _placed(scale_xyz: tuple[float, float, float]) -> STTransform:
    """x right, y down and z away from the viewer, as in the slices: turned by half a turn about x, not mirrored."""
    x, y, z = scale_xyz
    return STTransform(scale=(x, -y, -z), translate=(x / 2, -y / 2, -z / 2))


def _planes(limits_zyx: Sequence[tuple[float, float]], shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Clipping planes (n, 2, 3) in voxels of a volume: a place and the direction that is kept, each as x, y, z."""
    planes = []
    for axis, (low, high) in enumerate(reversed(limits_zyx)):
        for share, sign in ((low, 1.0), (high, -1.0)):
            if (share > 0 and sign > 0) or (share < 1 and sign < 0):
                position, normal = np.zeros(3), np.zeros(3)
                position[axis], normal[axis] = share * shape[2 - axis] - 0.5, sign
                planes.append((position, normal))
    return np.array(planes, np.float64) if planes else np.empty((0, 2, 3))
