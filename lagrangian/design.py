"""The design of a run, apart from its ocean: site, speeds, depths, periods, positions, particles (paper 2.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from data.bounds import bounds, check_bounds, is_number
from data.errors import OptionError, need
from data.sites import Site, parse_site

#: Depth of a trap of which nothing is said, m (paper section 2.1).
TRAP_DEPTH = 3000.0
#: Depths of the crossings kept by default, m (SPARO trains on 8 levels).
LEVELS = (2500.0, 2000.0, 1500.0, 1000.0, 800.0, 600.0, 400.0, 200.0)
#: The slowest ascent that the default first period makes room for takes this many times (trap - last level) / w.
LEAD_FACTOR = 1.1
#: Releases within one collection period must be fewer.
MOST_RELEASES = 100_000

# what the fields of a design, and the options of the command that are named after them, may be
Speeds = Annotated[tuple[float, ...], *bounds(above=0, below=1e5, unit="m/d")]
TrapDepth = Annotated[float, *bounds(above=0, below=12000, unit="m, positive down")]
Levels = Annotated[tuple[float, ...], *bounds(most=12000, unit="m, positive down")]
Days = Annotated[float, *bounds(least=0.01, most=36500, unit="days")]
Hours = Annotated[float, *bounds(least=0.01, most=1e5, unit="hours")]
OptionalHours = Annotated[float | None, *bounds(least=0.01, most=1e5, unit="hours")]
Particles = Annotated[int, *bounds(least=1, most=4096)]
Kilometres = Annotated[float, *bounds(above=0, most=1e4, unit="km")]
Positions = Annotated[int | Literal["domain"], *bounds(least=1, most=1000)]


@dataclass(frozen=True)
class Design:
    """The experiments to make, before they are placed in an ocean. Error lines name values by the options of the command.

    Attributes
    ----------
    site : str or Site
        A name from the site table, or ``LON,LAT`` in degrees (``X,Y`` in metres on a Cartesian grid).
    speeds : tuple of float
        Sinking speeds, m/d.
    trap_depth : float
        m, positive down.
    levels : tuple of float
        Depths at which crossings are kept, m, positive down, above the trap.
    start, end : str, optional
        First and last day on which a collection period may begin (default: all that the record allows).
    every, collection : float
        Days between the beginnings of periods; length of one, days.
    release_every : float
        Hours between releases within a period.
    particles : int
        Particles of a release: a square number, on a square lattice centred on the trap.
    particle_spacing : float
        km.
    positions : int or "domain"
        n of the n x n trap positions centred on the site; or all over a periodic domain, about ``spacing`` apart.
    spacing : float
        km between neighbouring positions.
    trajectories : float, optional
        Hours between the positions of whole paths, where these are recorded as well.

    Raises
    ------
    OptionError
        A value out of bounds, or two that contradict each other (:meth:`validate`, which :meth:`at` calls).

    >>> round(Design.at("-20.3,44.9", speeds=(80, 300), positions=1).ascent_days(80.0), 6)
    38.5
    """

    site: str | Site = "pap-so"
    speeds: Speeds = (80.0,)
    trap_depth: TrapDepth = TRAP_DEPTH
    levels: Levels = LEVELS
    start: str | None = None
    end: str | None = None
    every: Days = 10.0
    collection: Days = 10.0
    release_every: Hours = 12.0
    particles: Particles = 36
    particle_spacing: Kilometres = 2.0
    positions: Positions = 6
    spacing: Kilometres = 36.0
    trajectories: OptionalHours = None

    @staticmethod
    def standing(
        site: Site, levels: tuple[float, ...] = LEVELS, trap_depth: float | None = None
    ) -> tuple[float, tuple[float, ...]]:
        """Depth of the trap, m, and ``levels``, of the default ones those above the trap.

        The depth is ``trap_depth``, else that of the site's long series, else 3000 m.

        >>> Design.standing(parse_site("aloha"))[0], Design.standing(parse_site("bats"))[0]
        (4000.0, 3000.0)
        >>> Design.standing(parse_site("bats"), trap_depth=1000.0)
        (1000.0, (800.0, 600.0, 400.0, 200.0))
        """
        depth = float(next(iter(site.trap_depths), TRAP_DEPTH)) if trap_depth is None else trap_depth
        above = tuple(level for level in LEVELS if level < depth)
        return depth, above if levels == LEVELS and above else levels

    @classmethod
    def at(cls, site: str | Site, *, speeds: float | Sequence[float] = (80.0,), **options) -> Design:
        """Make a checked design at a site; other attributes are keywords. ``trap_depth``: by default that of the site's trap;
        ``levels``: by default those of :data:`LEVELS` above the trap.

        >>> Design.at("pap-so", speeds=150, levels=[200, 1000]).ordered_levels
        (1000.0, 200.0)
        """
        options["speeds"] = _numbers("--w", speeds)
        if "levels" in options:
            options["levels"] = _numbers("--levels", options["levels"])
        for name, value in options.items():
            if name not in ("start", "end"):
                options[name] = _plain(value)
            elif value is not None:  # dates of any kind: text, numpy's, Python's; the first instant of 1970 is false to numpy
                options[name] = str(getattr(value, "values", value))
        if options.get("trap_depth") is not None:
            need(is_number(depth := options["trap_depth"]), f"--trap-depth {depth!r}: must be a number of m, positive down")
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(options) - names)
        if unknown:
            raise OptionError(f"a design has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")
        place = site if isinstance(site, Site) else parse_site(site)
        options["trap_depth"], options["levels"] = cls.standing(place, options.get("levels", LEVELS), options.get("trap_depth"))
        design = cls(site, **options)
        design.validate()
        return design

    @property
    def place(self) -> Site:
        """The site as a place."""
        return self.site if isinstance(self.site, Site) else parse_site(self.site)

    @property
    def site_text(self) -> str:
        """The site as the user gave it."""
        return self.site.name if isinstance(self.site, Site) else self.site

    @property
    def ordered_levels(self) -> tuple[float, ...]:
        """Levels in the order in which a rising particle meets them (deepest first)."""
        return tuple(sorted(self.levels, reverse=True))

    def ascent_days(self, w: float) -> float:
        """Days of record before its release that a particle may need at speed ``w``, m/d."""
        return LEAD_FACTOR * (self.trap_depth - min(self.levels)) / w

    def observations_per_path(self, w: float) -> int:
        """Positions kept of one path at speed ``w`` (m/d): release, then one every ``trajectories`` hours for twice the ascent
        in still water; ValueError for a design that keeps no paths."""
        if self.trajectories is None:
            raise ValueError("the design keeps no paths (trajectories)")
        days = 2 * (self.trap_depth - min(self.levels)) / w
        return 2 + math.ceil(24 * days / self.trajectories)

    def validate(self) -> None:
        """Check every value by itself and together with the others.

        Raises
        ------
        OptionError
            Names the option of the command, its value and its bounds.
        """
        check_bounds(self, {"speeds": "w"})
        valid = isinstance(self.positions, int) or self.positions == "domain"
        need(valid, f"--positions {self.positions!r}: give a whole number, or 'domain'")
        need(self.speeds, "--w needs at least one sinking speed, m/d")
        for w in self.speeds:
            need(w >= 0.001, f"--w {w:g}: must be at least 0.001 m/d")
        need(len(set(self.speeds)) == len(self.speeds), "--w: a sinking speed is given twice")
        apart = len({speed_folder(w) for w in self.speeds}) == len(self.speeds)
        need(apart, "--w: speeds must differ by 0.001 m/d or more")
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


def _plain(given: Any) -> Any:
    """Numbers and arrays of numpy, xarray or pandas as Python's own; everything else as it is."""
    given = getattr(given, "values", given)
    return given.tolist() if hasattr(given, "tolist") else given


def _numbers(option: str, given: Any) -> tuple[float, ...]:
    """One number or several as a tuple; OptionError for anything else, such as text, each sign of which could be a number."""
    given = _plain(given)
    several = [_plain(one) for one in given] if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    wrong = [one for one in several if not is_number(one)]
    need(not wrong, f"{option} {wrong[0] if wrong else None!r}: must be a number")
    return tuple(float(one) for one in several)


def speed_folder(w: float) -> str:
    """Folder name of a sinking speed.

    >>> speed_folder(80.0), speed_folder(80.5)
    ('w080', 'w080.5')
    """
    return f"w{int(w):03d}" + (f"{w - int(w):.3f}".lstrip("0").rstrip("0").rstrip(".") if w != int(w) else "")
