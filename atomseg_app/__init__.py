"""AtomSeg: atomic columns, tomograms and segmented particles from electron microscopes."""

__version__ = "0.1.0"
