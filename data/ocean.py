"""The interface of every ocean: CROCO and ROMS files, oceans on z-levels, the twin, and oceans of other packages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # what --help needs is light to import
    import numpy as np

    from data.grid import HorizontalGrid
    from data.vertical import VerticalCoordinate

#: What :meth:`Ocean.snapshot` can be asked for. u, v and zeta are always there.
OPTIONAL_VARIABLES = ("w", "omega", "temp")


@dataclass(frozen=True)
class Snapshot:
    """The sea at one instant, on the native staggered grid. Land holds 0, never NaN; all arrays float32, C-contiguous.

    On an A-grid (``grid.stagger`` "A") u and v stand at rho points and have the shape (s_rho, eta, xi).

    Attributes
    ----------
    time : numpy.datetime64
        Instant of the snapshot (ns).
    u : (s_rho, eta, xi - 1)
        Velocity along xi at u points, m/s; u[k, j, i] stands between rho points i and i + 1.
    v : (s_rho, eta - 1, xi)
        Velocity along eta at v points, m/s.
    zeta : (eta, xi)
        Free surface at rho points, m, positive up.
    w : (s_rho or s_w, eta, xi), optional
        True vertical velocity at rho points of layers or interfaces, m/s, positive up.
    omega : (s_w, eta, xi), optional
        Velocity through the moving s-surfaces, m/s, positive up; 0 at the sea floor and the surface.
    temp : (s_rho, eta, xi), optional
        Temperature, degrees Celsius.
    """

    time: np.datetime64
    u: np.ndarray
    v: np.ndarray
    zeta: np.ndarray
    w: np.ndarray | None = None
    omega: np.ndarray | None = None
    temp: np.ndarray | None = None


@dataclass(frozen=True)
class Preferences:
    """Values that an ocean proposes for options that a run leaves open.

    Attributes
    ----------
    dt_minutes : float or None
        Longest time step of a particle, minutes; None: the general default.
    diffusivity : float
        Horizontal diffusivity of motion that the ocean does not resolve, m2/s.
    no_continuity : str
        Why vertical motion cannot be had by continuity (one line); empty where it can.
    """

    dt_minutes: float | None = None
    diffusivity: float = 0.0
    no_continuity: str = ""


def preferences_of(ocean: Ocean) -> Preferences:
    """The preferences of an ocean; the defaults if the ocean declares none."""
    return getattr(ocean, "preferences", None) or Preferences()


def sea_floor_of(ocean: Ocean) -> np.ndarray:
    """(eta, xi) depth of the sea floor at rho points, m, positive down: what steers the ocean's currents.

    ``ocean.grid.h``, unless the ocean declares a ``sea_floor`` of its own: that of a quasi-geostrophic ocean steers its currents
    and does not bound them.
    """
    floor = getattr(ocean, "sea_floor", None)
    return ocean.grid.h if floor is None else floor


@runtime_checkable
class Ocean(Protocol):
    """An ocean simulation, as the toolkit uses it.

    Attributes
    ----------
    grid : HorizontalGrid
    vertical : VerticalCoordinate
    times : (n,) datetime64[ns]
        Strictly increasing instants at which snapshots exist.
    variables : frozenset of str
        Which of :data:`OPTIONAL_VARIABLES` the snapshots can hold.
    description : dict
        JSON-ready facts for ``run.json``: kind, files or seed, assumptions made.

    An ocean may also declare ``preferences`` (:class:`Preferences`; see :func:`preferences_of`) and ``sea_floor``
    (:func:`sea_floor_of`).
    """

    # read-only here, so that frozen classes satisfy the interface as well
    @property
    def grid(self) -> HorizontalGrid: ...
    @property
    def vertical(self) -> VerticalCoordinate: ...
    @property
    def times(self) -> np.ndarray: ...
    @property
    def variables(self) -> frozenset[str]: ...
    @property
    def description(self) -> dict: ...

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Read one snapshot with the optional variables named. Thread-safe against itself.

        Raises
        ------
        InputError
            If the record cannot be read, or holds NaN inside the sea: names file, variable and record.
        """
        ...
