"""How well the network's own estimate of the column width does on the hard set, and what it loses where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from atomseg_app.atoms.background import prepare
from atomseg_app.atoms.column_model import column_network
from atomseg_app.atoms.network_detect import candidates_of, find_peaks
from atomseg_app.atoms.network_pass import NetworkPass
from atomseg_app.benchmarks.hard_set import LEAST_SNR, Found, Outcome, Picture, each, outcomes
from atomseg_app.benchmarks.matching import Score
from atomseg_app.benchmarks.table import print_table
from atomseg_app.operations import Report

RIGHT = (0.6, 1.6)
"""Estimated over true width that counts as right: within it, columns keep to the widths of the training."""


def at_true_width(picture: Picture) -> Found:
    """What the network finds, without fit, in a picture whose column width is given."""
    device = torch.device("cpu")
    grey = prepare(picture.values, Report())
    if grey is None:
        return Found(picture.xy_px[:0])
    seen = NetworkPass.of(grey.values, picture.sigma_px, 1, device)
    peaks = candidates_of(find_peaks(column_network("columns", device), seen, Report()), picture.sigma_px, False)
    return Found(np.column_stack([peaks.x_px, peaks.y_px]), picture.sigma_px)


def run(items: Sequence[Picture], alone: Sequence[Outcome], pool: Executor | None = None) -> None:
    """Print the table of pictures whose width is estimated wrong, from the outcomes of the network alone."""
    ratios = [outcome.sigma_px / picture.sigma_px for picture, outcome in zip(items, alone, strict=True)]
    wrong = [index for index, ratio in enumerate(ratios) if _is_wrong(ratio, items[index])]
    given = each(_given, [items[index] for index in wrong], pool)
    rows: list[list[object]] = [
        [
            items[index].number, items[index].name, items[index].sigma_px, ratios[index],
            int((items[index].snr >= LEAST_SNR).sum()), items[index].dose, alone[index].score.f1, there.score.f1,
        ]
        for index, there in zip(wrong, given, strict=True)
    ]  # fmt: skip
    before, after = (Score.total(s) for s in ((alone[i].score for i in wrong), (o.score for o in given)))
    rows.append(
        [f"{len(wrong)} of {len(items)}", "all of these", "", "", before.tp + before.fn, "", before.f1, after.f1]
    )
    print_table(
        f"Scale estimated: pictures whose column width is estimated outside {RIGHT[0]:g}-{RIGHT[1]:g} of the true\n"
        "one, or in which nothing is found though columns are there. F1 of the network alone, and with the true\n"
        "width given.",
        ["picture", "crystal", "true (px)", "estimated / true", "columns", "counts", "F1", "F1, width given"],
        rows,
    )


def _is_wrong(ratio: float, picture: Picture) -> bool:
    if math.isnan(ratio):
        return bool((picture.snr >= LEAST_SNR).any())
    return not RIGHT[0] <= ratio <= RIGHT[1]


def _given(picture: Picture) -> Outcome:
    return outcomes({"given": at_true_width}, picture)["given"]
