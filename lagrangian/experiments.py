"""What is released where and when: trap positions, collection periods, releases (paper section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError, OptionError
from data.ocean import Ocean
from data.sites import SITES, Site, parse_site
from data.times import parse_date
from lagrangian.config import SECONDS_PER_DAY, RunConfig

#: The slowest ascent that the default first period makes room for takes this many times (trap - last level) / w.
LEAD_FACTOR = 1.1


@dataclass(frozen=True, eq=False)
class Design:
    """The experiments of a run. Experiment number = period * n_positions + position.

    Attributes
    ----------
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

    site: Site
    trap_offset_km: np.ndarray
    trap: np.ndarray
    release_xi: np.ndarray
    release_eta: np.ndarray
    starts: np.ndarray
    collection: np.timedelta64
    release_delay: np.ndarray

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


def design_experiments(config: RunConfig, ocean: Ocean) -> Design:
    """Place traps, particles and periods in an ocean.

    Raises
    ------
    OptionError
        A trap outside the domain, on land, or deeper than the sea floor; dates outside the record.
    InputError
        The record is shorter than one experiment.
    """
    site = parse_site(config.site)
    grid = ocean.grid
    if not grid.degrees and site.name in SITES:
        raise OptionError(f"--site {site.name} is a place on Earth, but this ocean's grid is in metres; give --site X,Y")
    if grid.degrees and abs(site.y) > 90:
        raise OptionError(f"--site {config.site}: latitude {site.y:g} lies beyond a pole; give LON,LAT in degrees")
    east, north = _square(config.positions, config.spacing)
    trap = np.stack(np.broadcast_arrays(*grid.offset(site.x, site.y, east, north)), axis=1)
    xi, eta = grid.locate(trap[:, 0], trap[:, 1])
    _check_traps(config, grid, site, trap, east, north, xi, eta)
    side = round(config.particles**0.5)
    east_p, north_p = _square(side, config.particle_spacing)
    x, y = grid.offset(trap[:, :1], trap[:, 1:], east_p[None, :], north_p[None, :])
    release_xi, release_eta = grid.locate(x, y)
    if np.isnan(release_xi).any():
        raise OptionError(
            f"--particle-spacing {config.particle_spacing:g} km puts particles outside the domain; bring the traps farther in"
        )
    n_releases = int(np.floor(config.collection * 24 / config.release_every + 1e-9))
    delay = np.array([_seconds(3600 * config.release_every * k) for k in range(n_releases)])
    return Design(
        site=site,
        trap_offset_km=np.stack([east, north], axis=1),
        trap=trap,
        release_xi=release_xi,
        release_eta=release_eta,
        starts=_periods(config, ocean, delay[-1]),
        collection=_seconds(config.collection * SECONDS_PER_DAY),
        release_delay=delay,
    )


def _check_traps(config, grid, site, trap, east, north, xi, eta):
    unit = "°" if grid.degrees else " m"
    ny, nx = grid.shape

    def where(index):
        name = f"trap at {trap[index, 0]:.3f}{unit}, {trap[index, 1]:.3f}{unit}"
        if config.positions > 1:
            name += f" ({east[index]:+g} km east, {north[index]:+g} km north of --site {site.name})"
        return name

    # on a periodic axis every place has an image within the domain: the site itself must lie there
    for periodic, place, corners in zip(
        grid.periodic, (site.x, site.y), zip(grid.position(0, 0), grid.position(nx - 1, ny - 1), strict=True), strict=True
    ):
        if periodic and not min(corners) <= place <= max(corners):
            low, high = sorted(float(corner) for corner in corners)
            raise OptionError(
                f"--site {config.site}: {place:.2f}{unit} lies outside the ocean's domain ({low:.2f} to {high:.2f}{unit}); "
                "choose a --site within it"
            )
    mend = "choose another --site" + (", or fewer --positions or a smaller --spacing" if config.positions > 1 else "")
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
        if depth <= config.trap_depth:
            raise OptionError(
                f"{where(index)}: the sea floor is at {depth:.0f} m, above --trap-depth {config.trap_depth:g} m; {mend}, or a "
                "shallower trap"
            )


def ascent_days(config: RunConfig, w: float) -> float:
    """Days of record before its release that a particle may need at speed ``w``, m/d."""
    return LEAD_FACTOR * (config.trap_depth - min(config.levels)) / w


def _periods(config: RunConfig, ocean: Ocean, last_delay: np.timedelta64) -> np.ndarray:
    first, last = ocean.times[0].astype("datetime64[s]"), ocean.times[-1].astype("datetime64[s]")
    length = (last - first) / np.timedelta64(86400, "s")
    every = _seconds(config.every * SECONDS_PER_DAY)
    # A period belongs to the record when its last release does; the snapshot nearest its end is then at most one
    # release interval away.
    latest = last - last_delay
    if config.start is None:
        days = np.ceil(ascent_days(config, min(config.w)) - 1e-9)
        start = first + _seconds(days * SECONDS_PER_DAY)
        if start > latest:
            need = days + last_delay / np.timedelta64(86400, "s")
            raise InputError(
                f"the record of {length:.1f} days ({first} to {last}) is shorter than one experiment: at "
                f"{min(config.w):g} m/d from {config.trap_depth:g} m to {min(config.levels):g} m, {need:.1f} days are needed; "
                "give more files, a faster --w, or --start to accept particles whose record ends first"
            )
    else:
        start = parse_date(config.start, "--start")
        if not first <= start <= latest:
            raise OptionError(
                f"--start {config.start}: a collection period that begins then is not within the record, {first} to {last}"
            )
    if config.end is not None:
        end = parse_date(config.end, "--end")
        if end < start:
            raise OptionError(f"--end {config.end} is before the first possible period, {start}")
        latest = min(latest, end)
    return start + every * np.arange(int((latest - start) // every) + 1)
