"""Options of ``python -m lagrangian.run``, and the constants of the method that they default to (paper section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.errors import need
from lagrangian.cluster import WorkerOptions

#: Depths of the crossings kept by default, m (SPARO trains on 8 levels).
LEVELS = (2500.0, 2000.0, 1500.0, 1000.0, 800.0, 600.0, 400.0, 200.0)
#: Sinking speeds of the paper, m/d.
SINKING_SPEEDS = (80.0, 100.0, 150.0, 200.0, 300.0)
#: Fields are kept, and networks' inputs sampled, on these days before the end of a collection period (SPARO: five in 50 days).
LAGS_DAYS = (0, 10, 20, 30, 40)
SECONDS_PER_DAY = 86400.0
#: Longest time step where the ocean names none, minutes (tests/benchmarks/convergence.py).
DT_MINUTES = 120.0


@dataclass(frozen=True)
class RunConfig(WorkerOptions):
    """Backtrack sinking particles from a sediment trap through an ocean simulation and bin where they cross each level."""

    ocean: tuple[str, ...] = ("twin",)
    """'twin', or CROCO/ROMS files: paths or quoted globs."""
    years: float = 1.0
    """Length of the twin ocean's record, years of 365 days."""
    grid: str | None = None
    """CROCO grid file, where the history files lack h, pm, pn, lon/lat."""
    time_origin: str = "2000-01-01"
    """Date of second 0 where the files give none (CROCO writes plain seconds)."""
    allow_gaps: bool = False
    """Take a record with holes: velocities are interpolated in time across them."""
    vertical_velocity: Literal["continuity", "file"] = "continuity"
    """omega from u, v, zeta by continuity; or the file's own w (m/s, positive up)."""
    site: str = "pap-so"
    """A name from the site table, or LON,LAT in degrees (X,Y in metres on a Cartesian grid)."""
    w: tuple[float, ...] = (80.0,)
    """Sinking speeds, m/d; all are advected in the same pass over the files."""
    trap_depth: float = 3000.0
    """Depth of the trap, m, positive down."""
    levels: tuple[float, ...] = LEVELS
    """Depths at which crossings are kept, m, positive down, above the trap."""
    start: str | None = None
    """First day on which a collection period may begin (default: all that the record allows). Given, the first particles
    may outlive the record backward; they are counted as such."""
    end: str | None = None
    """Last day on which a collection period may begin (default: all that the record allows)."""
    every: float = 10.0
    """Days between the beginnings of periods."""
    collection: float = 10.0
    """Length of a collection period, days."""
    release_every: float = 12.0
    """Hours between releases within a period."""
    particles: int = 36
    """Particles per release: a square number, on a square lattice centred on the trap."""
    particle_spacing: float = 2.0
    """Distance between neighbouring particles of a release, km."""
    positions: int | Literal["domain"] = 6
    """n of the n x n trap positions centred on the site; or 'domain': all over a periodic domain, about --spacing apart."""
    spacing: float = 36.0
    """Distance between neighbouring trap positions, km."""
    dt: float | None = None
    """Longest time step, minutes (default: 120 for files, 360 for the twin; both by the convergence benchmark)."""
    kernel: Literal["compiled", "parcels"] = "compiled"
    """The toolkit's compiled kernel, or Parcels' own interpolation of velocities on an A-grid at fixed depths."""
    trajectories: float | None = None
    """Also write whole paths, one position every so many hours (a divisor or multiple of the snapshots' interval)."""
    diffusivity: tuple[float, ...] = ()
    """Horizontal diffusivity of unresolved motion, m2/s: one value, or pairs DEPTH KAPPA, each from that depth (m) down
    (default: 0 for files, 70 for the twin, whose 8 km hold no submesoscale)."""
    fields_spacing: float | None = None
    """Spacing of fields.zarr, km (default 8, 4 or 2 after the ocean's own spacing)."""
    seed: int = 0
    """Which twin ocean (another seed, another ocean), and the random walk's numbers."""
    threads: int = 0
    """Threads of the compiled kernel (0: one for each core; with --workers, the cores shared among them)."""
    block: int | None = None
    """Collection periods in one block (default: about ten blocks a worker, but no more than half of the reading twice)."""
    checkpoint: float = 5.0
    """Minutes of work after which the particles in flight are kept for a restart."""
    out: Path = field(default_factory=lambda: Path("runs/demo"))
    """Folder of the results."""

    def validate(self) -> None:
        """Check every option's bounds.

        Raises
        ------
        OptionError
            Names the option, its value and its bounds.
        """

        need(self.ocean, "--ocean needs 'twin' or at least one file")
        need(self.w, "--w needs at least one sinking speed, m/d")
        for w in self.w:
            need(0 < w < 1e5, f"--w {w:g}: a sinking speed must be greater than 0 m/d")
        need(len(set(self.w)) == len(self.w), "--w: a sinking speed is given twice")
        need(len({speed_folder(w) for w in self.w}) == len(self.w), "--w: speeds must differ by 0.001 m/d or more")
        need(0 < self.trap_depth < 12000, f"--trap-depth {self.trap_depth:g}: must lie between 0 and 12000 m, positive down")
        need(self.levels, "--levels needs at least one depth")
        for level in self.levels:
            need(level >= 0, f"--levels {level:g}: lies above the surface; depths are in m, positive down")
            need(
                level < self.trap_depth,
                f"--levels {level:g}: lies at or below the trap (--trap-depth {self.trap_depth:g} m); particles rise from there",
            )
        need(len(set(self.levels)) == len(self.levels), "--levels: a depth is given twice")
        for name, unit in (
            ("every", "days"), ("collection", "days"), ("release_every", "hours"), ("particle_spacing", "km"),
            ("spacing", "km"), ("dt", "minutes"),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is None:
                continue
            need(value > 0, f"--{name.replace('_', '-')} {value:g}: must be greater than 0 {unit}")
        releases = self.collection * 24 / self.release_every
        need(
            releases >= 1 - 1e-9,
            f"--release-every {self.release_every:g} h is longer than the collection period of {self.collection:g} days",
        )
        side = round(self.particles**0.5)
        need(self.particles > 0 and side * side == self.particles, f"--particles {self.particles}: must be a square number")
        need(self.positions == "domain" or self.positions > 0, f"--positions {self.positions}: must be at least 1")
        need(self.threads >= 0, f"--threads {self.threads}: must be 0 or more")
        need(self.seed >= 0, f"--seed {self.seed}: must be 0 or more")
        self.validate_workers()
        need(self.block is None or self.block > 0, f"--block {self.block}: must be at least 1 period")
        need(self.checkpoint >= 0, f"--checkpoint {self.checkpoint:g}: must be 0 minutes or more")
        need(self.trajectories is None or self.trajectories > 0, "--trajectories needs a number of hours greater than 0")
        need(self.fields_spacing is None or self.fields_spacing > 0, "--fields-spacing must be greater than 0 km")
        if len(self.diffusivity) > 1:
            need(len(self.diffusivity) % 2 == 0, "--diffusivity takes one value in m2/s, or pairs DEPTH KAPPA")
            depths = self.diffusivity[::2]
            need(depths[0] == 0 and sorted(set(depths)) == list(depths), "--diffusivity: depths must increase from 0 m")
        need(all(value >= 0 for value in self.diffusivity), "--diffusivity: values must be 0 or more")

    @property
    def ordered_levels(self) -> tuple[float, ...]:
        """Levels in the order in which a rising particle meets them (deepest first)."""
        return tuple(sorted(self.levels, reverse=True))


def speed_folder(w: float) -> str:
    """Folder name of a sinking speed: w080 for 80 m/d, w080.5 for 80.5 m/d."""
    return f"w{int(w):03d}" + (f"{w - int(w):.3f}".lstrip("0").rstrip("0").rstrip(".") if w != int(w) else "")
