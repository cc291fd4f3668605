"""What a command prepares before its imports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
from data.start import begin
begin(always={always})
import torch
torch.set_num_threads(2)
torch.ones(300, 300) @ torch.ones(300, 300)
print(os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.mark.parametrize(
    ("always", "given", "found"),
    [(True, None, "PASSIVE"), (True, "ACTIVE", "ACTIVE"), (False, None, "None")],
    ids=["a command", "the user's own choice", "imported by another program"],
)
def test_threads_of_sums_sleep_while_they_wait(always, given, found):
    """OMP_DISPLAY_ENV makes the library itself tell, once it is loaded, what it has read."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true", **({"OMP_WAIT_POLICY": given} if given else {})}
    script = SCRIPT.format(always=always)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
    if sys.platform == "linux" and found != "None":
        assert f"OMP_WAIT_POLICY = '{found}'" in done.stderr
