"""Options of the commands of the evaluation that other modules know too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from data.bounds import MAX_SEED, bounds
from data.errors import OptionError, need
from data.trap_flux import COLUMNS
from evaluation.cross_correlation import BLOCK_DAYS

#: Full width of the box centred on the trap, km (method.md section 4).
BOX_KM = 80.0
#: Depths that dynamics.zarr holds, m: from the surface, for profiles, to the trap.
DEPTHS = tuple(250.0 * k for k in range(13))


@dataclass(frozen=True)
class DiagnosticsConfig:
    """Average kinetic energy and vorticity around the traps of a run, at every snapshot of its ocean."""

    run: Path = Path("runs/demo")
    """Folder of a lagrangian.run; dynamics.zarr is written there."""
    depths: Annotated[tuple[float, ...], *bounds(most=12000, unit="m, positive down")] = DEPTHS
    """Depths, m, positive down, increasing."""
    box: Annotated[float, *bounds(above=0, below=1e4, unit="km")] = BOX_KM
    """Full width of the square box centred on each trap, km."""

    def validate(self) -> None:
        """Check every option's bounds; OptionError names the option and its value."""
        if not 0 < self.box < 1e4:
            raise OptionError(f"--box {self.box:g}: must be greater than 0 km")
        if not self.depths or min(self.depths) < 0 or list(self.depths) != sorted(set(self.depths)):
            raise OptionError("--depths must be 0 or greater and increase (m, positive down), such as --depths 0 500 1000")


@dataclass(frozen=True)
class CorrelationConfig:
    """Correlate the flux in a trap with chlorophyll in its predicted catchment and in boxes, by lag (paper Appendix C)."""

    predictions: tuple[str, ...] = ()
    """Catchment files of learning.predict, one a sinking speed: paths or quoted globs, such as catchment_w*.nc."""
    chlorophyll: tuple[str, ...] = ()
    """Files of daily chlorophyll, mg m-3 (ocean colour L3 or L4): paths or quoted globs."""
    flux: Path | None = None
    """Flux record of the trap, CSV or .xlsx: open, close, dry_weight, poc, pic, tpn (mg m-2 d-1), or BODC's names."""
    flux_depth: Annotated[float, *bounds(above=0, most=12000, unit="m, positive down")] = 3000.0
    """Depth of the trap, m, where the record holds several."""
    flux_columns: tuple[str, ...] = ()
    """Headers of columns of the flux record that are not recognised, such as open=Date poc="C flux": open, close, open_time,
    close_time, mid, duration (days), depth (m), latitude, longitude, site, dry_weight, poc, pic, tpn."""
    flux_dates: Literal["auto", "dd/mm/yyyy", "mm/dd/yyyy"] = "auto"
    """Order of day and month in the flux record (default: the one that its header names, or that alone fits all rows)."""
    sheet: str | None = None
    """Sheet of a workbook that holds the flux record, where several do."""
    site: str | None = None
    """Which trap of a flux record of several sites: a name in it, or LON,LAT in degrees (default: the one within 100 km of the
    predictions' trap)."""
    drop_bad: bool = False
    """Leave bad rows and values of the flux record out instead of refusing them; overlaps of a day or less are kept."""
    variables: tuple[str, ...] = ()
    """Fluxes: dry_weight, poc, pic, tpn (default: all that the record holds)."""
    lags: Annotated[tuple[float, float, float], *bounds(least=-3650, most=3650, unit="days")] = (0.0, 110.0, 3.0)
    """First lag, last lag and step, days: chlorophyll so long before the flux."""
    exclude_years: Annotated[tuple[int, ...], *bounds(least=1, most=9999)] = (2011, 2013)
    """Years left out of the second period; a cup belongs to the year of its middle."""
    start: str | None = None
    """First day of the period, by the cups' middles (default: 2009-01-01 where the record covers 2009 to 2019, else all)."""
    end: str | None = None
    """Last day of the period, by the cups' middles (default: 2019-12-31 where the record covers 2009 to 2019, else all)."""
    draws: Annotated[int, *bounds(least=1, most=10_000)] = 100
    """Series of catchments at random dates that the envelope is made of."""
    strict: bool = False
    """Leave a cup out where no prediction lies in its interval (default: the nearest one stands in, up to half the time between
    predictions away; how often is said)."""
    exclude_flags: tuple[Literal["outside", "date", "sst", "unknown"], ...] = ()
    """Leave flagged predictions out: outside (inputs beyond the training range), date (maps of another date), sst (no SST was
    given), unknown (part of the window unknown). By default they are used, and how many is said."""
    block_days: Annotated[float, *bounds(least=1, most=36500, unit="days")] = BLOCK_DAYS
    """Length of the blocks that intervals are made of, days."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Of the random dates and of the bootstrap."""
    out: Path = Path("runs/demo")
    """Folder of the results."""

    def validate(self) -> None:
        """OptionError for the first value that is impossible."""
        need(self.predictions, "--predictions is missing: give catchment files of learning.predict, such as catchment_w*.nc")
        need(self.chlorophyll, "--chlorophyll is missing: give files of daily chlorophyll (python -m data.download chlorophyll)")
        need(self.flux is not None, "--flux is missing: give the flux record of the trap, CSV or .xlsx")
        need(len(self.lags) == 3, f"--lags: {len(self.lags)} numbers; give the first lag, the last and the step, in days")
        first, last, step = self.lags
        need(np.isfinite(self.lags).all() and step > 0, f"--lags {first:g} {last:g} {step:g}: the step must be positive, in days")
        need(last >= first, f"--lags {first:g} {last:g} {step:g}: the last lag must not be less than the first")
        need((last - first) / step < 1000, f"--lags {first:g} {last:g} {step:g}: more than 1000 lags; take a longer step")
        need(self.draws >= 1, f"--draws {self.draws}: give 1 or more")
        need(self.seed >= 0, f"--seed {self.seed}: give 0 or more")
        need(self.block_days >= 1, f"--block-days {self.block_days:g}: give 1 day or more")
        unknown = [name for name in self.variables if name not in COLUMNS]
        need(not unknown, f"--variables {' '.join(unknown)}: not a flux; known are {', '.join(COLUMNS)}")
