"""Views that are left out, so that what is made of the others can be taught and judged by how it predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from atomseg_app.rays.parallel_beam import ParallelBeam

_LEFT_OUT, _OUTERMOST = 6, 2  # one view of so many, and so many at either end, whose neighbours are missing
_FEWEST = 20  # views: with fewer, those left out are too far from the others
_MOST_SLICES = 8
_LIT = 0.1  # of the brightest slice's mean


@dataclass(frozen=True)
class UnseenViews:
    """Views (slices, view, t) that are shown, those that are not, ``whole`` both, and which are ``out`` (view,)."""

    whole: torch.Tensor
    out: torch.Tensor
    shown_beam: ParallelBeam
    unseen_beam: ParallelBeam

    @property
    def shown(self) -> torch.Tensor:
        """Views (slices, shown view, t)."""
        return self.whole[:, ~self.out]

    @property
    def unseen(self) -> torch.Tensor:
        """Views (slices, unseen view, t)."""
        return self.whole[:, self.out]

    def misfit(self, slices: torch.Tensor) -> torch.Tensor:
        """Relative rms (slices,) of what slices (slices, z, x) leave of the views that were not shown."""
        left = self.unseen_beam.project(slices) - self.unseen
        relative: torch.Tensor = left.norm(dim=(1, 2)) / self.unseen.norm(dim=(1, 2)).clamp(min=1e-30)
        return relative


def unseen_views(views: torch.Tensor, beam: ParallelBeam) -> UnseenViews | None:
    """Every sixth view and two at either end left out, of up to eight slices that hold something.

    None where fewer than 20 views are there, or nothing is in them. (Cross validation: Stone, J. R. Stat. Soc. B 36
    (1974) 111.)
    """
    held = views[lit_slices(views)]
    if beam.views < _FEWEST or not len(held):
        return None
    held = held[torch.linspace(0, len(held) - 1, min(len(held), _MOST_SLICES)).round().long()]
    return _without(held, beam, _LEFT_OUT, _OUTERMOST, _OUTERMOST)


def lit_slices(views: torch.Tensor) -> torch.Tensor:
    """Which slices (slices,) hold something; none where all views (slices, view, t) are empty."""
    mean = views.abs().mean((1, 2))
    return mean > _LIT * mean.amax()


def beam_of(beam: ParallelBeam, kept: torch.Tensor) -> ParallelBeam:
    """Beam of some of the views (view,)."""
    return ParallelBeam(beam.tilt_deg[kept], beam.size, beam.device, beam.shift_px[kept])


def _without(views: torch.Tensor, beam: ParallelBeam, first: int, low: int, high: int) -> UnseenViews:
    """Views split: every sixth in the order of tilts from the ``first`` is out, and so many at the ends."""
    order = beam.tilt_deg.argsort()
    out = torch.zeros(beam.views, dtype=torch.bool)
    out[order[first::_LEFT_OUT]] = True
    out[order[:low]] = True
    out[order[len(order) - high :]] = True
    return UnseenViews(views, out, beam_of(beam, ~out), beam_of(beam, out))
