"""Options of ``python -m lagrangian.run``, and the constants of the method that they default to (paper section 2.1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from data.bounds import bounds, check_bounds
from data.errors import need
from data.oceans import OceanSource
from data.sites import parse_site
from data.workers import WORKER_GROUP, WorkerOptions
from lagrangian import design as designs
from lagrangian import integration as integrations
from lagrangian.design import LEVELS, Design
from lagrangian.design import speed_folder as speed_folder
from lagrangian.integration import DT_MINUTES as DT_MINUTES
from lagrangian.integration import Integration

#: Sinking speeds of the paper, m/d.
SINKING_SPEEDS = (80.0, 100.0, 150.0, 200.0, 300.0)
#: Fields are kept, and networks' inputs sampled, on these days before the end of a collection period (SPARO: five in 50 days).
LAGS_DAYS = (0, 10, 20, 30, 40)
SECONDS_PER_DAY = 86400.0


class Unsaid(float):
    """A number that stands where an option was left out; whoever gives the same number says it."""


#: Depth of the trap where neither option nor site table names one, m (paper section 2.1).
TRAP_DEPTH = Unsaid(designs.TRAP_DEPTH)


@dataclass(frozen=True)
class RunConfig(WorkerOptions):
    """Backtrack sinking particles from a sediment trap through an ocean simulation and bin where they cross each level."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "The trap and its particles": (
            "site", "w", "trap_depth", "levels", "start", "end", "every", "collection", "release_every", "particles",
            "particle_spacing", "positions", "spacing",
        ),
        "The ocean": (
            "ocean", "grid", "model", "vertical_velocity", "time_label", "time_origin", "allow_gaps", "chain_files", "vtransform",
            "periodic", "years", "seed",
        ),
        "How particles are followed": ("dt", "kernel", "diffusivity", "threads"),
        "Before the run": ("check", "script"),
        "Results": ("out", "trajectories", "fields_spacing", "checkpoint", "block"),
        **WORKER_GROUP,
    }  # fmt: skip
    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment run --w 80 150 300",
        "catchment run --ocean 'croco_his.*.nc' --grid croco_grd.nc --site -20.3,44.9 --out runs/jet",
        "catchment run --ocean 'glorys_*.nc' --grid static.nc --site ofp --start 2010-03-01 --end 2010-10-31 --out runs/ofp",
        "catchment run --config runs/jet/run.json --out runs/again",
    )

    ocean: tuple[str, ...] = ("twin",)
    """'twin', or files of CROCO/ROMS, of NEMO (C-grid), or on longitude, latitude and depth (GLORYS, HYCOM on depths): paths or
    quoted globs."""
    years: Annotated[float, *bounds(above=0, most=1000, unit="years")] = 1.0
    """Length of the twin ocean's record, years of 365 days."""
    grid: str | None = None
    """Grid file: CROCO's, where the history files lack h, pm, pn, lon/lat; NEMO's mesh_mask; GLORYS' static file with deptho."""
    model: Literal["auto", "croco", "nemo", "lonlat", "pop", "mitgcm", "mom6"] = "auto"
    """Model that wrote the files (auto: recognised by their variables)."""
    time_label: Literal["auto", "start", "middle", "end"] = "auto"
    """Instant of a mean's interval that the mean's time label gives (auto: bounds; daily means labelled 00:00 are moved
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
    vertical_velocity: integrations.VerticalVelocity = "continuity"
    """omega from u, v, zeta by continuity (none where the files do not know the sea floor); the file's own w (m/s, positive
    up); or none."""
    site: str = "pap-so"
    """A name from the site table, or LON,LAT in degrees (X,Y in metres on a Cartesian grid)."""
    w: designs.Speeds = (80.0,)
    """Sinking speeds, m/d; all are advected in the same pass over the files."""
    trap_depth: designs.TrapDepth = TRAP_DEPTH
    """Depth of the trap, m, positive down (left out: that of a site of the site table that has one)."""
    levels: designs.Levels = LEVELS
    """Depths at which crossings are kept, m, positive down; default ones at or below the trap are left out."""
    start: str | None = None
    """First day on which a collection period may begin (default: all that the record allows). If given, particles of the
    first periods may still be below the shallowest level when the record begins; they get status 3."""
    end: str | None = None
    """Last day on which a collection period may begin (default: all that the record allows)."""
    every: designs.Days = 10.0
    """Days between the beginnings of periods."""
    collection: designs.Days = 10.0
    """Length of a collection period, days."""
    release_every: designs.Hours = 12.0
    """Hours between releases within a period."""
    particles: designs.Particles = 36
    """Particles per release: a square number, on a square lattice centred on the trap."""
    particle_spacing: designs.Kilometres = 2.0
    """Distance between neighbouring particles of a release, km."""
    positions: designs.Positions = 6
    """n of the n x n trap positions centred on the site; or 'domain': all over a periodic domain, about --spacing apart."""
    spacing: designs.Kilometres = 36.0
    """Distance between neighbouring trap positions, km."""
    dt: integrations.Minutes = None
    """Longest time step, minutes (default: 120 for files, 360 for the twin; both by the convergence benchmark)."""
    kernel: integrations.Kernel = "compiled"
    """The toolkit's compiled kernel, or Parcels' own interpolation of velocities on an A-grid at fixed depths."""
    trajectories: designs.OptionalHours = None
    """Also write whole paths, one position every so many hours (a divisor or multiple of the snapshots' interval)."""
    diffusivity: integrations.Diffusivities = ()
    """Horizontal diffusivity of unresolved motion, m2/s: one value, or pairs DEPTH KAPPA, each from that depth (m) down
    (default: 0 for files, 70 for the twin, whose 8 km hold no submesoscale)."""
    fields_spacing: Annotated[float | None, *bounds(least=0.25, most=400, unit="km")] = None
    """Spacing of fields.zarr, km (default 8, 4 or 2 after the ocean's own spacing)."""
    seed: integrations.Seed = 0
    """Number of the twin ocean (another seed gives another ocean), and seed of the random walk."""
    threads: integrations.Threads = 0
    """Threads of the compiled kernel (0: one for each core; with --workers, the cores shared among them)."""
    block: Annotated[int | None, *bounds(least=1, most=10**9, unit="periods")] = None
    """Collection periods in one block (default: about ten blocks a worker, but no more than half of the reading twice)."""
    checkpoint: Annotated[float, *bounds(least=0, most=1e6, unit="minutes")] = 5.0
    """Minutes of work after which the particles in flight are kept for a restart."""
    out: Path = field(default_factory=lambda: Path("runs/demo"))
    """Folder of the results."""
    check: bool = False
    """Open the run's inputs, tell what they hold and what the run will cost (steps, hours, memory, disk, bytes read), and
    write nothing."""
    script: Literal["slurm", "pbs"] | None = None
    """With --check: print a script for this batch system, with the estimated time and memory."""

    def at_site(self) -> RunConfig:
        """These options with the depth of the trap: if none is given, the depth of the site's trap, or 3000 m for other sites.

        Default levels that lie at or below the trap are left out.
        """
        given = None if isinstance(self.trap_depth, Unsaid) else self.trap_depth
        depth, levels = Design.standing(parse_site(self.site), self.levels, given)
        return dataclasses.replace(self, trap_depth=depth, levels=levels)

    def validate(self) -> None:
        """Check every option's bounds.

        Raises
        ------
        OptionError
            Names the option, its value and its bounds.
        """

        check_bounds(self)
        need(self.ocean, "--ocean needs 'twin' or at least one file")
        need(self.check or not self.script, f"--script {self.script} goes with --check")
        self.design.validate()
        self.validate_workers()
        self.integration.validate()

    @property
    def design(self) -> Design:
        """The design: releases and records of the run."""
        names = {field.name for field in dataclasses.fields(Design)} - {"speeds"}
        return Design(speeds=self.w, **{name: getattr(self, name) for name in names})

    @property
    def integration(self) -> Integration:
        """How particles are followed."""
        return Integration(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Integration)})

    @property
    def source(self) -> OceanSource:
        """Where the ocean comes from."""
        names = {field.name for field in dataclasses.fields(OceanSource)} - {"files"}
        return OceanSource(files=self.ocean, **{name: getattr(self, name) for name in names})
