"""Whether the vertical velocity that files hold is that of their flow: in its unit, and in its sign."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.ocean import Ocean, preferences_of
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega

#: Sizes that differ by this factor are refused, and told: units differ by 86 400, by 100 or by 1000.
REFUSED, TOLD = 20.0, 3.0
#: The same where the sea floor is not known, and continuity gives a size alone: it may be several times too large.
REFUSED_WITHOUT_FLOOR = 300.0
#: Correlation with the velocity by continuity (1 in CROCO's own files, .3 to .7 where the slope of the levels is left out).
RELATED = 0.3


def look_at_vertical_velocity(ocean: Ocean) -> list[str]:
    """Compare w, or omega, of a record with that by continuity.

    Returns
    -------
    list of str
        What is to be told.

    Raises
    ------
    InputError
        If it is of another size by far, or of the other sign.
    """
    name = "w" if "w" in ocean.variables else "omega"
    if name not in ocean.variables:
        return []
    index = int(0.4 * len(ocean.times))
    snapshot = getattr(ocean, "sample", ocean.snapshot)(index, (name,))
    flow = (snapshot.u, snapshot.v, snapshot.zeta)
    expected = omega_by_continuity(*flow, ocean.grid, ocean.vertical)
    if name == "w":
        expected = vertical_velocity_from_omega(*flow, expected, ocean.grid, ocean.vertical)
    in_files = np.asarray(getattr(snapshot, name), dtype=np.float64)
    if in_files.shape[0] == expected.shape[0] + 1:
        in_files = (in_files[1:] + in_files[:-1]) / 2
    inside = np.broadcast_to(ocean.grid.mask_rho, in_files.shape)[1:-1, 2:-2, 2:-2]
    in_files, expected = in_files[1:-1, 2:-2, 2:-2][inside], expected[1:-1, 2:-2, 2:-2][inside].astype(np.float64)
    size, usual = float(np.sqrt(np.mean(in_files**2))), float(np.sqrt(np.mean(expected**2)))
    if in_files.size < 16 or usual == 0:
        return []
    where = f"{ocean.record(index)[0]}: " if hasattr(ocean, "record") else ""
    text = f"{where}{name} is {size:.2g} m/s (rms), where continuity gives {usual:.2g} m/s"
    mend = "--vertical-velocity continuity does without it"
    no_floor = bool(preferences_of(ocean).no_continuity)
    refused = REFUSED_WITHOUT_FLOOR if no_floor else REFUSED
    mend = "--vertical-velocity none does without it" if no_floor else mend
    if not usual / refused < size < usual * refused:
        raise InputError(f"{text}: {name} is in another unit, or of another run; set its attribute 'units', or {mend}")
    if no_floor:
        return []
    if in_files.std() < 1e-6 * size:
        return [f"{where}{name} is {in_files[0]:.2g} m/s everywhere: {mend}"]
    together = float(np.corrcoef(in_files, expected)[0, 1])
    if together < -RELATED:
        raise InputError(
            f"{where}{name} goes against the vertical velocity by continuity (correlation {together:.2f}): {name} must be "
            f"positive up; turn its sign, or {mend}"
        )
    if together < RELATED or not usual / TOLD < size < usual * TOLD:
        return [f"{text} (correlation {together:.2f}): {mend}"]
    return []
