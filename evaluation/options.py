"""Options of the commands of this package. Light to import: ``--help`` needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from data.bounds import MAX_SEED, bounds, need_distinct
from data.errors import OptionError, need

#: Depths that dynamics.zarr holds, m: from the surface, for profiles, to the trap.
DEPTHS = tuple(250.0 * k for k in range(13))
#: Full width of the box centred on the trap, km (method.md section 4).
BOX_KM = 80.0
#: Length of a block of the bootstrap of correlations, days: fluxes and chlorophyll have a season, so that the sample is one of
#: years.
CORRELATION_BLOCK_DAYS = 365.25
#: First and last lag of the paper, and the step between two, days.
PAPER_LAGS = (0.0, 110.0, 3.0)
#: Frames of a film.
FRAMES = 60


@dataclass(frozen=True)
class ReportConfig:
    """Score the catchments of a run: report.html, metrics.json, figures/*.png and *.pdf, tables/*.csv in RUN/report."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment report --run runs/learn",
    )

    run: Path = Path("runs/demo")
    """Folder of a lagrangian.run, with or without predictions of learning.predict."""
    out: Path | None = None
    """Folder of the report (default: RUN/report)."""
    level: Annotated[float | None, *bounds(least=0, most=12000, unit="m, positive down")] = None
    """Level that is scored, m (default: the export level: 200, or the shallowest of a run that keeps no 200)."""
    depth_range: Annotated[tuple[float, float] | None, *bounds(least=0, most=12000, unit="m, positive down")] = None
    """Depths, m, that the deep dynamics of Figure 6 are averaged over (default: 1000 to 3000, no deeper than the trap)."""
    resolution_experiments: Annotated[int, *bounds(least=0, most=10**9)] = 288
    """Experiments of the resolution test (0: leave the test out)."""
    emd_experiments: Annotated[int, *bounds(least=0, most=10**9)] = 200
    """Experiments whose earth mover's, Hellinger and Jensen-Shannon distances are computed (0: leave them out)."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Seed of the bootstrap and of the choice of experiments, 0 or greater."""

    def validate(self) -> None:
        """Check every option's bounds; OptionError names the option and its value."""
        need(self.level is None or self.level >= 0, f"--level {self.level}: must be 0 m or more, positive down")
        for name in ("resolution_experiments", "emd_experiments", "seed"):
            value = getattr(self, name)
            need(value >= 0, f"--{name.replace('_', '-')} {value}: must be 0 or more")
        if self.depth_range is not None:
            words = " ".join(f"{depth:g}" for depth in self.depth_range)
            need(len(self.depth_range) == 2 and 0 <= self.depth_range[0] < self.depth_range[-1],
                 f"--depth-range {words}: must be two depths in m, positive down, the upper one first")  # fmt: skip


@dataclass(frozen=True)
class DiagnosticsConfig:
    """Average kinetic energy and vorticity around the traps of a run, at every snapshot of its ocean."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment diagnostics --run runs/learn",
        "catchment diagnostics --run runs/learn --depths 0 500 1000 --box 100",
    )

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

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "What is compared": ("predictions", "chlorophyll", "flux", "variables", "out"),
        "The flux record": ("flux_depth", "flux_columns", "flux_dates", "sheet", "site", "drop_bad"),
        "Period and lags": ("lags", "start", "end", "exclude_years"),
        "Which predictions": ("strict", "exclude_flags"),
        "Chance": ("draws", "block_days", "seed"),
    }
    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment correlate --predictions 'catchment_w*.nc' --chlorophyll 'chlorophyll_*.nc' --flux flux.csv",
    )

    predictions: tuple[str, ...] = ()
    """Catchment files of learning.predict, one a sinking speed: paths or quoted globs, such as catchment_w*.nc."""
    chlorophyll: tuple[str, ...] = ()
    """Files of daily chlorophyll, mg m-3 (ocean colour L3 or L4): paths or quoted globs."""
    flux: Path | None = None
    """Flux record of the trap, CSV or .xlsx: open, close, dry_weight, poc, pic, tpn (mg m-2 d-1), or BODC's names."""
    flux_depth: Annotated[float | None, *bounds(above=0, most=12000, unit="m, positive down")] = None
    """Depth of the trap, m, where the record holds several (default: that of the predictions' trap)."""
    flux_columns: tuple[str, ...] = ()
    """Headers of columns of the flux record that are not recognised, such as open=Date poc="C flux": open, close, open_time,
    close_time, mid, duration (days), depth (m), latitude, longitude, site, dry_weight, poc, pic, tpn."""
    flux_dates: Literal["auto", "dd/mm/yyyy", "mm/dd/yyyy"] = "auto"
    """Order of day and month in the flux record (default: the order that the header names, or that alone fits all rows)."""
    sheet: str | None = None
    """Sheet of a workbook that holds the flux record, where several do."""
    site: str | None = None
    """Which trap of a flux record of several sites: a name in it, or LON,LAT in degrees (default: the one within 100 km of the
    predictions' trap)."""
    drop_bad: bool = False
    """Leave bad rows and values of the flux record out instead of refusing them; overlaps of a day or less are kept."""
    variables: tuple[str, ...] = ()
    """Fluxes: dry_weight, poc, pic, tpn (default: all that the record holds)."""
    lags: Annotated[tuple[float, float, float], *bounds(least=-3650, most=3650, unit="days")] = PAPER_LAGS
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
    block_days: Annotated[float, *bounds(least=1, most=36500, unit="days")] = CORRELATION_BLOCK_DAYS
    """Length of the blocks that intervals are made of, days."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Seed of the random dates and of the bootstrap."""
    out: Path = Path("runs/demo")
    """Folder of the results."""

    def validate(self) -> None:
        """OptionError for the first value that is impossible."""
        need(self.predictions, "--predictions is missing: give catchment files of learning.predict, such as catchment_w*.nc")
        need(self.chlorophyll, "--chlorophyll is missing: give files of daily chlorophyll (python -m data.download chlorophyll)")
        need(self.flux is not None, "--flux is missing: give the flux record of the trap, CSV or .xlsx")
        need(len(self.lags) == 3, f"--lags: {len(self.lags)} numbers; give the first lag, the last and the step, in days")
        first, last, step = self.lags
        finite = all(map(math.isfinite, self.lags))
        need(finite and step > 0, f"--lags {first:g} {last:g} {step:g}: the step must be positive, in days")
        need(last >= first, f"--lags {first:g} {last:g} {step:g}: the last lag must not be less than the first")
        need((last - first) / step < 1000, f"--lags {first:g} {last:g} {step:g}: more than 1000 lags; take a longer step")
        need(self.draws >= 1, f"--draws {self.draws}: give 1 or more")
        need(self.seed >= 0, f"--seed {self.seed}: give 0 or more")
        need(self.block_days >= 1, f"--block-days {self.block_days:g}: give 1 day or more")
        need_distinct(self, "variables", "exclude_flags")
        from data.trap_columns import COLUMNS

        unknown = [name for name in self.variables if name not in COLUMNS]
        need(not unknown, f"--variables {' '.join(unknown)}: not a flux; known are {', '.join(COLUMNS)}")


@dataclass(frozen=True)
class SatelliteConfig:
    """Draw predictions from satellite maps, and compare their inputs and shapes with those of the simulation learnt from."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment satellite --predictions runs/satellite --run runs/learn",
    )

    predictions: Path = Path("runs/demo")
    """Folder of catchment_w*.nc and satellite_inputs.nc, as learning.predict --ssh writes them."""
    run: Path | None = None
    """Run that the networks were trained on, for Figures A1 and A2 (left out without it)."""
    date: str | None = None
    """Date of the latest map of the prediction that is drawn (default: the last)."""
    out: Path | None = None
    """Folder of the figures (default: --predictions/figures)."""


@dataclass(frozen=True)
class TwinExperimentConfig:
    """Run the satellite application on a twin ocean, where catchments, lags and speeds are known."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment twin-experiment --models runs/learn --seed 1",
    )

    models: Path = Path("runs/learn")
    """Run whose networks are used; trained on another --seed than this one's."""
    method: Literal["unet", "velocity"] = "unet"
    """Networks of binned PDFs, or of velocities with particles in them (predicted-velocity/, scores-velocity.csv, ...)."""
    inputs: Literal["sst-ssh", "sst-ssh-bathymetry"] = "sst-ssh"
    """What the networks take; the sea floor with velocity alone (predicted-velocity-bathymetry/, ...)."""
    years: Annotated[float, *bounds(above=0, most=1000, unit="years")] = 3.0
    """Length of the record, years."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 1
    """Number of the twin ocean; also the seed of noise and clouds."""
    noise: Annotated[float, *bounds(least=0, most=1000)] = 0.3
    """Noise of the trap record: its standard deviation over that of the signal."""
    draws: Annotated[int, *bounds(least=1, most=10_000)] = 100
    """Series of random catchments of the envelope."""
    out: Path = Path("runs/twin-experiment")
    """Folder of the results."""


@dataclass(frozen=True)
class AnimationConfig:
    """Write a film (GIF) of the particles of one experiment of a run."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment animate --run runs/demo --experiment 3",
    )

    run: Path = Path("runs/demo")
    """Folder of a lagrangian.run."""
    w: Annotated[float | None, *bounds(above=0, below=1e5, unit="m/d")] = None
    """Sinking speed, m/d (default: the slowest of the run)."""
    experiment: Annotated[int, *bounds(least=0)] = 0
    """Number of the experiment."""
    fps: Annotated[float, *bounds(least=0.1, most=50, unit="frames a second")] = 8.0
    """Frames a second."""
    frames: Annotated[int, *bounds(least=2, most=2000)] = FRAMES
    """Frames in all, evenly spaced in time."""
    out: Path | None = None
    """File to write (default: RUN/w080/film-0000.gif, by speed and experiment)."""


@dataclass(frozen=True)
class ExplorerConfig:
    """Write one HTML file in which catchments are explored by date, sinking speed, level and model; it needs no network."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "What is shown": ("run", "predictions", "position", "levels", "size_mb", "out"),
        "Beside it": ("flux", "flux_depth", "flux_columns", "drop_bad", "chlorophyll"),
    }
    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment explorer --run runs/learn",
        "catchment explorer --predictions runs/satellite --flux flux.csv --chlorophyll 'maps/chlorophyll_*.nc'",
    )

    run: Path = Path("runs/demo")
    """Folder of a lagrangian.run: its catchments, and its predictions where learning.predict made some."""
    predictions: tuple[str, ...] = ()
    """Instead of a run: catchment_w*.nc of learning.predict, folders of such files or quoted globs; each folder is a model."""
    position: Annotated[int | None, *bounds(least=0)] = None
    """Trap position of the run that is shown (default: the one nearest to the site)."""
    levels: Annotated[tuple[float, ...], *bounds(least=0, most=12000, unit="m, positive down")] = ()
    """Levels of the run, m (default: all)."""
    flux: Path | None = None
    """Flux record of the trap, CSV or .xlsx, drawn below the maps: open, close, dry_weight, poc, pic, tpn (mg m-2 d-1)."""
    flux_depth: Annotated[float | None, *bounds(above=0, most=12000, unit="m, positive down")] = None
    """Depth of the trap, m, where the flux record holds several (default: that of the trap whose catchments are shown)."""
    flux_columns: tuple[str, ...] = ()
    """Headers of columns of the flux record that are not recognised, such as open=Date poc="C flux"."""
    drop_bad: bool = False
    """Leave bad rows and values of the flux record out instead of refusing them."""
    chlorophyll: tuple[str, ...] = ()
    """Files of daily chlorophyll, mg m-3: paths or quoted globs; drawn as maps, and as the mean in each catchment."""
    size_mb: Annotated[float, *bounds(least=0.2, most=200, unit="MB")] = 5.0
    """Greatest size of the file, MB; of a longer record every second date (third, ...) is shown."""
    out: Path | None = None
    """Folder of explorer.html (default: the run's folder, or that of the first catchment file)."""

    def validate(self) -> None:
        """OptionError for the first value that is impossible."""
        need(not (self.predictions and (self.position is not None or self.levels)),
             "--position and --levels are of a --run; catchment files have one trap and one level")  # fmt: skip
        need_distinct(self, "levels")
