"""Options of ``python -m lagrangian.run``, and the constants of the method that they default to (paper section 2.1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from data.bounds import MAX_SEED, bounds, check_bounds
from data.errors import need
from data.sites import parse_site
from data.workers import WorkerOptions

#: Depths of the crossings kept by default, m (SPARO trains on 8 levels).
LEVELS = (2500.0, 2000.0, 1500.0, 1000.0, 800.0, 600.0, 400.0, 200.0)
#: Sinking speeds of the paper, m/d.
SINKING_SPEEDS = (80.0, 100.0, 150.0, 200.0, 300.0)
#: Fields are kept, and networks' inputs sampled, on these days before the end of a collection period (SPARO: five in 50 days).
LAGS_DAYS = (0, 10, 20, 30, 40)
SECONDS_PER_DAY = 86400.0
#: Longest time step where the ocean names none, minutes (tests/benchmarks/convergence.py).
DT_MINUTES = 120.0
#: Releases within one collection period must be fewer.
MOST_RELEASES = 100_000


class Unsaid(float):
    """A number that stands where an option was left out; whoever gives the same number says it."""


#: Depth of the trap where neither option nor site table names one, m (paper section 2.1).
TRAP_DEPTH = Unsaid(3000.0)


@dataclass(frozen=True)
class RunConfig(WorkerOptions):
    """Backtrack sinking particles from a sediment trap through an ocean simulation and bin where they cross each level."""

    ocean: tuple[str, ...] = ("twin",)
    """'twin', or files of CROCO/ROMS, of NEMO (C-grid), or on longitude, latitude and depth (GLORYS, HYCOM on depths): paths or
    quoted globs."""
    years: Annotated[float, *bounds(above=0, most=1000, unit="years")] = 1.0
    """Length of the twin ocean's record, years of 365 days."""
    grid: str | None = None
    """Grid file: CROCO's, where the history files lack h, pm, pn, lon/lat; NEMO's mesh_mask; GLORYS' static file with deptho."""
    model: Literal["auto", "croco", "nemo", "lonlat", "pop", "mitgcm", "mom6"] = "auto"
    """What wrote the files (auto: after their variables)."""
    time_label: Literal["auto", "start", "middle", "end"] = "auto"
    """Which instant of the time that a mean covers its label gives (auto: bounds; daily means labelled 00:00 are moved
    to noon)."""
    time_origin: str = "2000-01-01"
    """Date of second 0 where the files give none (CROCO writes plain seconds)."""
    allow_gaps: bool = False
    """Take a record with holes: velocities are interpolated in time across them."""
    chain_files: bool = False
    """Put files whose clocks begin anew one after another: in the order given, those of a pattern by the numbers in their
    names."""
    vtransform: Literal[1, 2] | None = None
    """Vertical transform of the s-coordinate, where the files do not name it (UCLA ROMS) or name a wrong one."""
    periodic: Literal["auto", "no", "xi", "eta", "both"] = "auto"
    """Axes along which a domain of CROCO or ROMS files repeats (auto: where the two outermost rows of both ends are equal)."""
    vertical_velocity: Literal["continuity", "file", "none"] = "continuity"
    """omega from u, v, zeta by continuity (none where the files do not know the sea floor); the file's own w (m/s, positive
    up); or none."""
    site: str = "pap-so"
    """A name from the site table, or LON,LAT in degrees (X,Y in metres on a Cartesian grid)."""
    w: Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")] = (80.0,)
    """Sinking speeds, m/d; all are advected in the same pass over the files."""
    trap_depth: Annotated[float, *bounds(above=0, below=12000, unit="m, positive down")] = TRAP_DEPTH
    """Depth of the trap, m, positive down (left out: that of a site of the site table that has one)."""
    levels: Annotated[tuple[float, ...], *bounds(most=12000, unit="m, positive down")] = LEVELS
    """Depths at which crossings are kept, m, positive down, above the trap."""
    start: str | None = None
    """First day on which a collection period may begin (default: all that the record allows). Given, the first particles
    may outlive the record backward; they are counted as such."""
    end: str | None = None
    """Last day on which a collection period may begin (default: all that the record allows)."""
    every: Annotated[float, *bounds(least=0.01, most=36500, unit="days")] = 10.0
    """Days between the beginnings of periods."""
    collection: Annotated[float, *bounds(least=0.01, most=36500, unit="days")] = 10.0
    """Length of a collection period, days."""
    release_every: Annotated[float, *bounds(least=0.01, most=1e5, unit="hours")] = 12.0
    """Hours between releases within a period."""
    particles: Annotated[int, *bounds(least=1, most=4096)] = 36
    """Particles per release: a square number, on a square lattice centred on the trap."""
    particle_spacing: Annotated[float, *bounds(above=0, most=1e4, unit="km")] = 2.0
    """Distance between neighbouring particles of a release, km."""
    positions: Annotated[int | Literal["domain"], *bounds(least=1, most=1000)] = 6
    """n of the n x n trap positions centred on the site; or 'domain': all over a periodic domain, about --spacing apart."""
    spacing: Annotated[float, *bounds(above=0, most=1e4, unit="km")] = 36.0
    """Distance between neighbouring trap positions, km."""
    dt: Annotated[float | None, *bounds(least=0.01, most=1e5, unit="minutes")] = None
    """Longest time step, minutes (default: 120 for files, 360 for the twin; both by the convergence benchmark)."""
    kernel: Literal["compiled", "parcels"] = "compiled"
    """The toolkit's compiled kernel, or Parcels' own interpolation of velocities on an A-grid at fixed depths."""
    trajectories: Annotated[float | None, *bounds(least=0.01, most=1e5, unit="hours")] = None
    """Also write whole paths, one position every so many hours (a divisor or multiple of the snapshots' interval)."""
    diffusivity: Annotated[tuple[float, ...], *bounds(least=0, most=1e6, unit="m2/s, m")] = ()
    """Horizontal diffusivity of unresolved motion, m2/s: one value, or pairs DEPTH KAPPA, each from that depth (m) down
    (default: 0 for files, 70 for the twin, whose 8 km hold no submesoscale)."""
    fields_spacing: Annotated[float | None, *bounds(least=0.25, most=400, unit="km")] = None
    """Spacing of fields.zarr, km (default 8, 4 or 2 after the ocean's own spacing)."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Which twin ocean (another seed, another ocean), and the random walk's numbers."""
    threads: Annotated[int, *bounds(least=0, most=4096)] = 0
    """Threads of the compiled kernel (0: one for each core; with --workers, the cores shared among them)."""
    block: Annotated[int | None, *bounds(least=1, most=10**9, unit="periods")] = None
    """Collection periods in one block (default: about ten blocks a worker, but no more than half of the reading twice)."""
    checkpoint: Annotated[float, *bounds(least=0, most=1e6, unit="minutes")] = 5.0
    """Minutes of work after which the particles in flight are kept for a restart."""
    out: Path = field(default_factory=lambda: Path("runs/demo"))
    """Folder of the results."""

    def at_site(self) -> RunConfig:
        """The same options with the depth of the trap: where none is given, that of the site, or 3000 m where it has none.

        Default levels that lie at or below a trap whose depth is the site's are left out.
        """
        if not isinstance(self.trap_depth, Unsaid):
            return self
        depth = next(iter(parse_site(self.site).trap_depths), float(TRAP_DEPTH))
        above = tuple(level for level in LEVELS if level < depth)
        return dataclasses.replace(self, trap_depth=depth, levels=above if self.levels == LEVELS and above else self.levels)

    def validate(self) -> None:
        """Check every option's bounds.

        Raises
        ------
        OptionError
            Names the option, its value and its bounds.
        """

        check_bounds(self)
        need(self.ocean, "--ocean needs 'twin' or at least one file")
        need(self.w, "--w needs at least one sinking speed, m/d")
        for w in self.w:
            need(w >= 0.001, f"--w {w:g}: must be at least 0.001 m/d")
        need(len(set(self.w)) == len(self.w), "--w: a sinking speed is given twice")
        need(len({speed_folder(w) for w in self.w}) == len(self.w), "--w: speeds must differ by 0.001 m/d or more")
        need(self.levels, "--levels needs at least one depth")
        for level in self.levels:
            need(level >= 0, f"--levels {level:g}: lies above the surface; depths are in m, positive down")
            need(
                level < self.trap_depth,
                f"--levels {level:g}: lies at or below the trap (--trap-depth {self.trap_depth:g} m); particles rise from there",
            )
        need(len(set(self.levels)) == len(self.levels), "--levels: a depth is given twice")
        releases = self.collection * 24 / self.release_every
        need(
            releases >= 1 - 1e-9,
            f"--release-every {self.release_every:g} h is longer than the collection period of {self.collection:g} days",
        )
        need(
            releases < MOST_RELEASES,
            f"--collection {self.collection:g} days with --release-every {self.release_every:g} hours are {releases:.3g} "
            f"releases; must be fewer than {MOST_RELEASES}",
        )
        side = round(self.particles**0.5)
        need(self.particles > 0 and side * side == self.particles, f"--particles {self.particles}: must be a square number")
        self.validate_workers()
        if len(self.diffusivity) > 1:
            need(len(self.diffusivity) % 2 == 0, "--diffusivity takes one value in m2/s, or pairs DEPTH KAPPA")
            depths = self.diffusivity[::2]
            need(depths[0] == 0 and sorted(set(depths)) == list(depths), "--diffusivity: depths must increase from 0 m")

    @property
    def ordered_levels(self) -> tuple[float, ...]:
        """Levels in the order in which a rising particle meets them (deepest first)."""
        return tuple(sorted(self.levels, reverse=True))


def speed_folder(w: float) -> str:
    """Folder name of a sinking speed: w080 for 80 m/d, w080.5 for 80.5 m/d."""
    return f"w{int(w):03d}" + (f"{w - int(w):.3f}".lstrip("0").rstrip("0").rstrip(".") if w != int(w) else "")
