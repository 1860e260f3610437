"""Costs of networks are measured in their own processes."""

from __future__ import annotations

import sys

import pytest

from atomseg_app.benchmarks.network_cost import NETWORKS, cost
from atomseg_app.networks.architectures import ARCHITECTURES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read as Linux tells it")
def test_a_larger_network_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = cost("atomsegnet-unet", {"widths": [4, 8, 8]}, 384, way="published", repeats=1)
    large = cost("atomsegnet-unet", {"widths": [64, 64, 64]}, 384, way="published", repeats=1)
    assert large.parameters > small.parameters
    assert large.cpu_s > 2 * small.cpu_s
    activations = 2 * 64 * 384 * 384 * 4  # the widest layer is a sum of two
    assert large.extra_bytes > activations
    assert small.extra_bytes < activations


def test_failures_are_told() -> None:
    with pytest.raises(RuntimeError, match="knows no network 'nonesuch'"):
        cost("nonesuch", {}, 64)


def test_every_network_of_the_table_is_known() -> None:
    assert {architecture for architecture, _ in NETWORKS.values()} <= set(ARCHITECTURES)
