"""Peak memory is that of the process itself, and what cannot be is not printed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from atomseg_app.benchmarks.tomography_memory import sensible, times_input_and_output
from atomseg_app.errors import UserError

_CODE = """
import numpy as np
from atomseg_app.benchmarks.peak_memory import Peak
np.ones({before}, np.uint8)
peak = Peak()
np.ones({during}, np.uint8)
print(peak.bytes_above_start())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the peak back")
def test_neither_the_parents_peak_nor_an_earlier_one_counts() -> None:
    here = np.ones(400 << 20, np.uint8)
    code = _CODE.format(before=200 << 20, during=64 << 20)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) == pytest.approx(64 << 20, rel=0.05)
    assert here.all()


def test_less_than_input_and_output_is_refused() -> None:
    with pytest.raises(UserError, match=r"0\.227 times its input and output"):
        sensible("mlem", 0.2266)
    with pytest.raises(UserError):
        sensible("mlem", float("nan"))
    assert sensible("mlem", 2.2) == 2.2


def test_a_method_that_does_not_exist_is_told() -> None:
    with pytest.raises(UserError, match="memory of nothing failed"):
        times_input_and_output("nothing", 32)
