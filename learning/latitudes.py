"""What SSH means to networks that learnt at another latitude: the Coriolis parameter, and the mirror of the other hemisphere.

Currents follow the slope of SSH as g / f (geostrophy, f = 2 Omega sin latitude; Gill 1982, Atmosphere-Ocean Dynamics). Networks
know the f of the sea that they learnt from. Elsewhere SSH is multiplied by the ratio of the two |f|, so that the same currents
look the same to them. In the other hemisphere f has the other sign: an ocean there, seen in a mirror that turns north into
south, obeys the equations of this one, so that maps are mirrored before the networks see them, and catchments after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.errors import OptionError
from data.sites import Site, parse_site
from data.spherical_defaults import coriolis

#: Nearer to the equator than this, degrees, currents do not follow from the slope of SSH.
EQUATOR = 5.0
#: Ratios of f nearer to 1 than this are not told of.
TOLD = 0.05
#: A ratio beyond this, or below its inverse, means eddies of another size.
ALIKE = 1.5


def home_of(card: Mapping) -> Site | None:
    """Where networks learnt, as their card tells it (``site``); None where it does not."""
    try:
        return parse_site(str(card.get("site")))
    except OptionError:
        return None


@dataclass(frozen=True)
class Latitudes:
    """Latitude of where networks learnt (None: not known, or a plane without latitudes) and of the maps' site, degrees north."""

    home: float | None
    here: float

    @classmethod
    def between(cls, home: Site | None, site: Site) -> Latitudes:
        """Of two places; ``home`` may be of a Cartesian grid, whose metres are no latitude.

        Raises
        ------
        OptionError
            One of the two lies so near to the equator that SSH tells no currents, and the other does not.
        """
        if home is None or abs(home.y) > 90 or abs(home.x) > 360:
            return cls(None, site.y)
        for place in (site, home) if site.y != home.y else ():
            if abs(place.y) < EQUATOR:
                raise OptionError(
                    f"--site {site.name}: {place.name} lies {abs(place.y):.1f} degrees from the equator, where currents do not "
                    "follow from the slope of SSH; use networks that learnt at the site itself"
                )
        return cls(home.y, site.y)

    @property
    def factor(self) -> float:
        """What SSH is multiplied by: |f| of the networks' sea over that of the site; 1 where home is not known."""
        if self.home is None or self.home == self.here:
            return 1.0
        home, here = coriolis(np.array([self.home, self.here]))
        return float(abs(home / here))

    @property
    def mirrored(self) -> bool:
        """Whether the site lies in the other hemisphere."""
        return self.home is not None and self.home * self.here < 0

    def turned(self, maps: np.ndarray) -> np.ndarray:
        """Maps (..., y, x) for the networks, or catchments from them: mirrored north to south where the hemispheres differ."""
        return np.ascontiguousarray(maps[..., ::-1, :]) if self.mirrored else maps

    def notes(self, *, floor: bool = False) -> list[str]:
        """Lines for the user; ``floor``: whether the networks are given the depth of the sea floor, divided by :attr:`factor`."""
        lines = []
        if self.mirrored or abs(self.factor - 1) > TOLD:
            lines.append(
                f"SSH is multiplied by {self.factor:.2f}, the ratio of the Coriolis parameters where the networks learnt "
                f"({self.home:.1f} degrees north) and at the site ({self.here:.1f}), so that it stands for the same currents"
                + ("; depths of the sea floor are divided by it" if floor else "")
            )
        if self.mirrored:
            lines.append("the site lies in the other hemisphere: maps, and the catchments back, are mirrored north to south")
        if not 1 / ALIKE < self.factor < ALIKE:
            lines.append("eddies there have another size than those that the networks learnt: take the catchments as a guess")
        return lines

    def of_simulation(self) -> list[str]:
        """Lines for the user where a simulation at another latitude is predicted, whose SSH is taken as it is.

        Raises
        ------
        OptionError
            The simulation lies in the other hemisphere, where the same SSH drives currents the other way round.
        """
        where = f"the run lies at {self.here:.1f} degrees north, the networks learnt at {self.home or 0:.1f}"
        if self.mirrored:
            raise OptionError(
                f"{where}, in the other hemisphere, where the same SSH drives currents the other way round; learn from a run of "
                "this hemisphere"
            )
        if abs(self.factor - 1) <= TOLD:
            return []
        fast = f"currents {self.factor:.2f} times as fast here"
        return [f"{where}: the same slope of SSH drives {fast}, which the networks do not know"]
