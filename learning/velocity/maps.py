"""Inputs of a network of velocities at an instant: surface maps before and after the instant, at a satellite's resolution."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from data.errors import InputError, StoreError
from data.times import DAY
from learning.inputs import SSH_RESOLUTION_KM, SST_RESOLUTION_KM, Method, fill_missing, to_resolution

VARIABLES: dict[str, tuple[str, ...]] = {
    "sst-ssh": ("ssh", "temp"),
    "5v-1l": ("ssh", "temp", "u", "v", "vorticity_over_f"),
    "sst-ssh-bathymetry": ("ssh", "temp", "bathymetry"),
}
#: Sets whose maps a satellite sees, and are smoothed as it sees them. The sea floor needs no satellite: its depth is charted.
SEEN = ("sst-ssh", "sst-ssh-bathymetry")
#: Days from the instant at which SSH and the other variables are taken: of delayed-time maps, and of earlier ones alone.
SSH_DAYS, OTHER_DAYS = tuple(range(-20, 21, 5)), (-10, 0, 10)
SSH_DAYS_CAUSAL, OTHER_DAYS_CAUSAL = tuple(range(-40, 1, 5)), (-20, -10, 0)
#: Largest distance in days of a map from the day that the map is used for.
REACH_DAYS = 20.0
#: Lattice points on a side that make one cell of the network.
FOLD = 2
#: The day of a map that never changes.
AT_ONCE = (0,)
#: Variables of which each map's own mean is taken away: seasons and datums say nothing of currents; of the sea floor, hills do.
CENTRED = ("ssh", "temp", "bathymetry")
SECONDS = 86400.0


@dataclass(frozen=True)
class MapSpec:
    """The maps of an instant; written into the weights, and needed to stack the same ones again.

    Attributes
    ----------
    name : str
        One of :data:`VARIABLES`.
    ssh_days, other_days : tuple of int
        Days from the instant, negative before it.
    causal : bool
        Whether no map after the instant is ever taken.
    resolution_km : dict
        Effective resolution by variable; others are used as they are.
    method : str
        See :func:`learning.inputs.to_resolution`.
    """

    name: str
    ssh_days: tuple[int, ...] = SSH_DAYS
    other_days: tuple[int, ...] = OTHER_DAYS
    causal: bool = False
    resolution_km: dict[str, float] = field(default_factory=dict)
    method: Method = "spline"

    @classmethod
    def of(
        cls, name: str, ssh_km: float = SSH_RESOLUTION_KM, sst_km: float = SST_RESOLUTION_KM, *, causal: bool = False,
        method: Method = "spline",
    ) -> MapSpec:  # fmt: skip
        """The set ``name``; the resolutions (km) apply to what satellites see (:data:`SEEN`) alone."""
        days = (SSH_DAYS_CAUSAL, OTHER_DAYS_CAUSAL) if causal else (SSH_DAYS, OTHER_DAYS)
        resolution = {"ssh": float(ssh_km), "temp": float(sst_km)} if name in SEEN else {}
        return cls(name, *days, causal, resolution, method)

    @classmethod
    def from_card(cls, card: dict) -> MapSpec:
        """Undo :attr:`card`; ValueError for inputs that are not known."""
        if card["name"] not in VARIABLES:
            raise ValueError(f"unknown inputs {card['name']!r}")
        return cls(**{**card, "ssh_days": tuple(card["ssh_days"]), "other_days": tuple(card["other_days"])})

    @property
    def card(self) -> dict:
        """The specification as plain values, for JSON."""
        return asdict(self)

    @property
    def variables(self) -> tuple[str, ...]:
        return VARIABLES[self.name]

    def days(self, variable: str) -> tuple[int, ...]:
        """Days from the instant of a variable's maps."""
        if variable == "bathymetry":
            return AT_ONCE
        return self.ssh_days if variable == "ssh" else self.other_days

    def is_folded(self, variable: str) -> bool:
        """Whether the points of a cell become channels (else their mean): maps coarser than a cell hold no more than that."""
        return variable != "ssh" or "ssh" not in self.resolution_km

    @property
    def n_ssh(self) -> int:
        """Channels of SSH, which come first."""
        return len(self.ssh_days) * (FOLD**2 if self.is_folded("ssh") else 1)

    @property
    def n_channels(self) -> int:
        return self.n_ssh + FOLD**2 * sum(len(self.days(name)) for name in self.variables if name != "ssh")


def nearest_maps(times: np.ndarray, instant: np.datetime64, days: tuple[int, ...], *, causal: bool) -> np.ndarray:
    """(day,) number of the map that stands for each day from ``instant``: the nearest, of those up to the instant if ``causal``.

    Raises
    ------
    InputError
        The nearest is farther than :data:`REACH_DAYS`.
    """
    now = instant.astype("datetime64[s]")
    elapsed = (np.asarray(times).astype("datetime64[s]") - now).astype(np.float64) / SECONDS
    allowed = elapsed <= 1e-9 if causal else np.ones(elapsed.size, bool)
    distance = np.where(allowed[None], np.abs(elapsed[None] - np.array(days, np.float64)[:, None]), np.inf)
    nearest_map = distance.argmin(axis=1) if elapsed.size else np.zeros(len(days), int)
    far = distance[np.arange(len(days)), nearest_map] if elapsed.size else np.full(len(days), np.inf)
    if far.max() > REACH_DAYS + 1e-6:
        worst = now + DAY * int(days[int(far.argmax())])
        raise InputError(
            f"maps are too far apart: none {'up to the instant ' if causal else ''}within {REACH_DAYS:g} days of "
            f"{str(worst)[:10]}; give maps of those days too, or other dates"
        )
    return nearest_map


def have_maps(times: np.ndarray, instants: np.ndarray, spec: MapSpec) -> np.ndarray:
    """(instant,) bool whether maps at ``times`` stand for all of the days that each instant needs (:func:`nearest_maps`)."""
    out = np.ones(len(instants), bool)
    for number, instant in enumerate(instants):
        try:
            for days in (spec.ssh_days, spec.other_days):
                nearest_maps(times, instant, days, causal=spec.causal)
        except InputError:
            out[number] = False
    return out


@dataclass(eq=False)
class Maps:
    """Surface maps on the points of a lattice, ready to be stacked.

    Attributes
    ----------
    spec : MapSpec
    times : (map,) datetime64[s]
    values : dict of (map, y, x) float32
        By variable, without NaN.
    spacing_km : float
    """

    spec: MapSpec
    times: np.ndarray
    values: dict[str, np.ndarray]
    spacing_km: float

    @classmethod
    def of(cls, spec: MapSpec, times: np.ndarray, surface: dict[str, np.ndarray], spacing_km: float) -> Maps:
        """Maps of all of a set's variables.

        Raises
        ------
        StoreError
            A variable is missing.
        """
        lacking = [name for name in spec.variables if name not in surface]
        if "bathymetry" in lacking:
            raise StoreError(
                "no depth of the sea floor, which sst-ssh-bathymetry needs: velocities.zarr is of an earlier version; remove it, "
                "and learning.fit makes it anew"
            )
        if lacking:
            raise StoreError(f"no maps of {', '.join(lacking)}, which {spec.name} needs: the ocean of this run holds none")
        values = {}
        for name in spec.variables:
            surface_maps = np.asarray(surface[name], np.float32)
            values[name] = surface_maps if np.isfinite(surface_maps).all() else fill_missing(surface_maps)
        return cls(spec, np.asarray(times).astype("datetime64[s]"), values, spacing_km)

    def instants(self, instant: np.datetime64) -> dict[str, np.ndarray]:
        """Numbers of the maps of each variable; see :func:`nearest_maps`."""
        spec = self.spec
        return {name: nearest_maps(self.times, instant, spec.days(name), causal=spec.causal) for name in spec.variables}

    def stack(self, instants: dict[str, np.ndarray], scale: dict[str, float], shift: tuple[int, int] | None = None) -> np.ndarray:
        """(channel, y / 2, x / 2) float32: the maps of an instant, as the network takes them.

        ``scale``: divisor by variable. ``shift``: points by which the maps of a periodic lattice are moved first, and with them
        the lattice on which a satellite samples.
        """
        parts = []
        for name in self.spec.variables:
            maps = self.values[name][instants[name]]
            if shift is not None:
                maps = np.roll(maps, shift, axis=(-2, -1))
            parts.append(_cells(self._seen(name, maps) / np.float32(scale[name]), self.spec.is_folded(name)))
        return np.concatenate(parts)

    def _seen(self, name: str, maps: np.ndarray) -> np.ndarray:
        """Maps (map, y, x) of a variable at its effective resolution, without their own means where :data:`CENTRED`."""
        maps = to_resolution(maps, self.spacing_km, self.spec.resolution_km.get(name, 0.0), self.spec.method)
        return maps - maps.mean(axis=(-2, -1), keepdims=True) if name in CENTRED else maps

    def scale(self, numbers: np.ndarray) -> dict[str, float]:
        """Standard deviation of each variable over some maps, their means taken away where :data:`CENTRED`."""
        out = {}
        for name in self.spec.variables:
            maps = self._seen(name, self.values[name][numbers])
            out[name] = float(maps.std(dtype=np.float64)) or 1.0
        return out


def _cells(maps: np.ndarray, folded: bool) -> np.ndarray:
    """(map, y, x) to (channel, y / 2, x / 2): points of a cell as channels, or their mean."""
    n, ny, nx = maps.shape
    squares = maps.reshape(n, ny // FOLD, FOLD, nx // FOLD, FOLD)
    if not folded:
        return squares.mean(axis=(2, 4))
    return squares.transpose(0, 2, 4, 1, 3).reshape(n * FOLD**2, ny // FOLD, nx // FOLD)
