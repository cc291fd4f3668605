"""A design placed in an ocean: where and when particles are released there (paper section 2.1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from data.errors import InputError, OptionError
from data.ocean import Ocean
from data.sites import SITES, Site
from data.times import DAY, parse_date
from lagrangian.config import SECONDS_PER_DAY
from lagrangian.design import Design


@dataclass(frozen=True, eq=False)
class PlacedDesign:
    """The experiments of a run in its ocean. Experiment number = period * n_positions + position.

    Attributes
    ----------
    design : Design
        What was asked for; speeds, depths and what is recorded are read from it.
    site : Site
    trap_offset_km : (position, 2)
        km east, north of the site, south-west first, eastward fastest.
    trap : (position, 2)
        Longitude, latitude in degrees (x, y in metres on a Cartesian grid).
    release_xi, release_eta : (position, member)
        Index coordinates of the particles of one release.
    starts : (period,) datetime64[s]
        Beginning of each collection period.
    collection : timedelta64[s]
        Length of a period.
    release_delay : (release,) timedelta64[s]
        Time of each release after the beginning of its period.
    """

    design: Design
    site: Site
    trap_offset_km: np.ndarray
    trap: np.ndarray
    release_xi: np.ndarray
    release_eta: np.ndarray
    starts: np.ndarray
    collection: np.timedelta64
    release_delay: np.ndarray

    @property
    def speeds(self) -> tuple[float, ...]:
        """Sinking speeds, m/d."""
        return self.design.speeds

    @property
    def trap_depth(self) -> float:
        """m, positive down."""
        return self.design.trap_depth

    @property
    def levels(self) -> tuple[float, ...]:
        """m, positive down, in the order in which a rising particle meets them (deepest first)."""
        return self.design.ordered_levels

    @property
    def trajectories(self) -> float | None:
        """Hours between the positions of whole paths; None where these are not recorded."""
        return self.design.trajectories

    @property
    def n_positions(self) -> int:
        return self.trap.shape[0]

    @property
    def n_members(self) -> int:
        """Particles of one release at one position."""
        return self.release_xi.shape[1]

    @property
    def n_releases(self) -> int:
        return self.release_delay.size

    @property
    def n_particles(self) -> int:
        """Particles of one experiment; particle number = release * n_members + member."""
        return self.n_releases * self.n_members

    @property
    def n_periods(self) -> int:
        return self.starts.size

    @property
    def n_experiments(self) -> int:
        return self.n_periods * self.n_positions


def _square(n: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (km east, north) of an n x n lattice centred on the origin, eastward fastest."""
    axis = (np.arange(n) - (n - 1) / 2) * spacing
    north, east = np.meshgrid(axis, axis, indexing="ij")
    return east.ravel(), north.ravel()


def _seconds(value: float) -> np.timedelta64:
    return np.timedelta64(round(value), "s")


def design_experiments(design: Design, ocean: Ocean) -> PlacedDesign:
    """Place traps, particles and periods of a design in an ocean.

    ``positions="domain"`` becomes a number, and ``spacing`` what divides the domain evenly.

    Raises
    ------
    OptionError
        A trap outside the domain, on land, or deeper than the sea floor; dates outside the record.
    InputError
        The record is shorter than one experiment.
    """
    grid = ocean.grid
    design = spread_over_domain(design, ocean)
    site = design.place
    if not grid.degrees and site.name in SITES:
        raise OptionError(f"--site {site.name} is a place on Earth, but this ocean's grid is in metres; give --site X,Y")
    if grid.degrees and abs(site.y) > 90:
        raise OptionError(f"--site {site.name}: latitude {site.y:g} lies beyond a pole; give LON,LAT in degrees")
    assert design.positions != "domain"
    east, north = _square(design.positions, design.spacing)
    trap = np.stack(np.broadcast_arrays(*grid.offset(site.x, site.y, east, north)), axis=1)
    xi, eta = grid.locate(trap[:, 0], trap[:, 1])
    _check_traps(design, grid, site, trap, east, north, xi, eta)
    side = round(design.particles**0.5)
    east_p, north_p = _square(side, design.particle_spacing)
    x, y = grid.offset(trap[:, :1], trap[:, 1:], east_p[None, :], north_p[None, :])
    release_xi, release_eta = grid.locate(x, y)
    if np.isnan(release_xi).any():
        raise OptionError(
            f"--particle-spacing {design.particle_spacing:g} km puts particles outside the domain; bring the traps farther in"
        )
    n_releases = int(np.floor(design.collection * 24 / design.release_every + 1e-9))
    delay = np.array([_seconds(3600 * design.release_every * k) for k in range(n_releases)])
    return PlacedDesign(
        design=design,
        site=site,
        trap_offset_km=np.stack([east, north], axis=1),
        trap=trap,
        release_xi=release_xi,
        release_eta=release_eta,
        starts=_periods(design, ocean, delay[-1]),
        collection=_seconds(design.collection * SECONDS_PER_DAY),
        release_delay=delay,
    )


def spread_over_domain(design: Design, ocean: Ocean) -> Design:
    """A design whose positions are to lie all over the domain, with their number and distance there.

    Raises
    ------
    OptionError
        The ocean is not periodic in both directions.
    """
    if design.positions != "domain":
        return design
    grid = ocean.grid
    if not all(grid.periodic):
        raise OptionError("--positions domain needs an ocean that is periodic in both directions; give a number")
    width = min(grid.period) * grid.spacing_km
    positions = max(1, round(width / design.spacing))
    return dataclasses.replace(design, positions=positions, spacing=width / positions)


def _check_traps(design, grid, site, trap, east, north, xi, eta):
    unit = "°" if grid.degrees else " m"
    ny, nx = grid.shape

    def where(index):
        name = f"trap at {trap[index, 0]:.3f}{unit}, {trap[index, 1]:.3f}{unit}"
        if design.positions > 1:
            name += f" ({east[index]:+g} km east, {north[index]:+g} km north of --site {site.name})"
        return name

    # on a periodic axis every place has an image within the domain: the site itself must lie there
    longitude = site.x
    if grid.degrees:  # 343.5 degrees east are 16.5 west
        middle = np.mean([grid.position(0, 0)[0], grid.position(nx - 1, ny - 1)[0]])
        longitude = middle + (site.x - middle + 180.0) % 360.0 - 180.0
    for periodic, place, corners in zip(
        grid.periodic, (longitude, site.y), zip(grid.position(0, 0), grid.position(nx - 1, ny - 1), strict=True), strict=True
    ):
        if periodic and not min(corners) <= place <= max(corners):
            low, high = sorted(float(corner) for corner in corners)
            raise OptionError(
                f"--site {design.site_text}: {place:.2f}{unit} lies outside the ocean's domain ({low:.2f} to {high:.2f}{unit}); "
                "choose a --site within it"
            )
    mend = "choose another --site" + (", or fewer --positions or a smaller --spacing" if design.positions > 1 else "")
    margin_x = not grid.periodic[0]
    margin_y = not grid.periodic[1]
    for index in range(trap.shape[0]):
        outside = np.isnan(xi[index])
        if not outside and margin_x:
            outside = not 0.5 <= xi[index] <= nx - 1.5
        if not outside and margin_y:
            outside = not 0.5 <= eta[index] <= ny - 1.5
        if outside:
            low_x, low_y = grid.position(0.5, 0.5)
            high_x, high_y = grid.position(nx - 1.5, ny - 1.5)
            raise OptionError(
                f"{where(index)} lies outside the ocean's domain (about {low_x:.2f} to {high_x:.2f}{unit}, "
                f"{low_y:.2f} to {high_y:.2f}{unit}); {mend}"
            )
        if not grid.in_sea(xi[index], eta[index]):
            raise OptionError(f"{where(index)} lies on land; {mend}")
        depth = float(grid.sample(grid.h, xi[index], eta[index]))
        if depth <= design.trap_depth:
            raise OptionError(
                f"{where(index)}: the sea floor is at {depth:.0f} m, above --trap-depth {design.trap_depth:g} m; {mend}, or a "
                "shallower trap"
            )


def _periods(design: Design, ocean: Ocean, last_delay: np.timedelta64) -> np.ndarray:
    first, last = ocean.times[0].astype("datetime64[s]"), ocean.times[-1].astype("datetime64[s]")
    length = (last - first) / DAY
    every = _seconds(design.every * SECONDS_PER_DAY)
    # A period belongs to the record when its last release does; the snapshot nearest its end is then at most one
    # release interval away.
    latest = last - last_delay
    if design.start is None:
        days = np.ceil(design.ascent_days(min(design.speeds)) - 1e-9)
        start = first + _seconds(days * SECONDS_PER_DAY)
        if start > latest:
            need = days + last_delay / DAY
            raise InputError(
                f"the record of {length:.1f} days ({first} to {last}) is shorter than one experiment: at "
                f"{min(design.speeds):g} m/d from {design.trap_depth:g} m to {min(design.levels):g} m, {need:.1f} days are "
                "needed; give more files, a faster --w, or --start to accept particles whose record ends first"
            )
    else:
        start = parse_date(design.start, "--start")
        if not first <= start <= latest:
            raise OptionError(
                f"--start {design.start}: a collection period that begins then is not within the record, {first} to {last}"
            )
    if design.end is not None:
        end = parse_date(design.end, "--end")
        if end < start:
            raise OptionError(f"--end {design.end} is before the first possible period, {start}")
        latest = min(latest, end)
    return start + every * np.arange(int((latest - start) // every) + 1)
