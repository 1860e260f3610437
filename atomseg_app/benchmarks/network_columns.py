"""The columns of ``atomseg bench columns`` detected by the network and by the Laplacian of Gaussian, then fitted."""

from __future__ import annotations

from atomseg_app.benchmarks import columns
from atomseg_app.benchmarks.columns import Score
from atomseg_app.benchmarks.hard_set import found_columns
from atomseg_app.benchmarks.table import print_table

PEAKS = (50.0, 5.0)
RECALL_WANTED = 0.995
_SIZE_PX, _SEED = 1024, 1
_NOT_WORSE = 1.02  # times the classical ratio to the bound
_PRECISION_KEPT = 0.002


def measured(method: str, peak: float, size_px: int = _SIZE_PX) -> Score:
    """How columns found by a method and fitted compare with the truth and the bound."""
    truth, values = columns.simulated(size_px, peak, _SEED)
    return columns.score(truth, found_columns(values, method=method).xy_px)


def run() -> bool:
    """Print the table; True if the network finds too few columns, more false ones, or places them worse."""
    rows, failed = [], False
    for peak in PEAKS:
        network, classical = measured("network", peak), measured("log", peak)
        for method, score in (("network", network), ("LoG", classical)):
            rows.append([f"{peak:g}", method, score.recall, score.precision, score.ratio, score.rms_px])
        failed |= network.recall < RECALL_WANTED
        failed |= network.precision < classical.precision - _PRECISION_KEPT
        failed |= network.ratio > _NOT_WORSE * classical.ratio
    print_table(
        "Columns of the accuracy table (2,500, spacing 20 px, sigma 4 px), detected by the network and classically,\n"
        "both fitted. Missed and false columns count with the match radius.",
        ["counts at peak", "detection", "recall", "precision", "rms of error / bound", "rms error (px)"],
        rows,
    )
    return failed
