"""Opens every family of ocean, from files or from the name ``twin``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from data.errors import OptionError
from data.ocean import Ocean
from data.progress import Progress
from data.registry import opened, registered_ocean

Model = Literal["auto", "croco", "nemo", "lonlat", "pop", "mitgcm", "mom6"]
TimeLabel = Literal["auto", "start", "middle", "end"]


@dataclass(frozen=True)
class OceanSource:
    """Where an ocean comes from; the options of the commands that open one, by the same names.

    Attributes
    ----------
    files : tuple of str
        ``twin``, or paths and globs of files of CROCO/ROMS, NEMO (C-grid), or on longitude, latitude and depth.
    years, seed
        Of the twin: length of the record, and which twin.
    grid : str, optional
        CROCO's grid file, NEMO's mesh_mask, or the static file of a model on longitudes and latitudes.
    model, time_label, time_origin, allow_gaps, chain_files, vtransform, periodic
        How files are read; see ``python -m lagrangian.run --help``.
    """

    files: tuple[str, ...] = ("twin",)
    years: float = 1.0
    seed: int = 0
    grid: str | None = None
    model: Model = "auto"
    time_label: TimeLabel = "auto"
    time_origin: str = "2000-01-01"
    allow_gaps: bool = False
    chain_files: bool = False
    vtransform: Literal[1, 2] | None = None
    periodic: Literal["auto", "no", "xi", "eta", "both"] = "auto"

    @property
    def of_files(self) -> bool:
        """Whether the ocean is read from the named files; False of the twin and of registered oceans."""
        return "twin" not in self.files and registered_ocean(self.files) is None

    def open(
        self,
        *,
        look: bool = True,
        about: Callable[[], tuple[tuple[float, float], float]] | None = None,
        look_closer: Callable[[Ocean], list[str]] | None = None,
    ) -> Ocean:
        """The ocean.

        Parameters
        ----------
        look : bool
            Look at the flow in a few records of files.
        about : callable, optional
            Gives a place (as the grid gives positions) and the km around it that are wanted; of files that reach farther, no
            more is read.
        look_closer : callable, optional
            Looks at files too, where they are looked at; gives what the user should know.

        Raises
        ------
        OptionError
            Options that do not go together.
        InputError
            Files that cannot be used.
        """
        if "twin" in self.files:
            return self._twin()
        registered = registered_ocean(self.files)
        if registered is not None:
            opener, argument = registered
            return opened(self.files[0], opener, argument)
        from data.zlevel.open import open_zlevel, recognise

        files = list(self.files)
        if (recognise(files) if self.model == "auto" else self.model) == "croco":
            return self._croco(files, look, look_closer)
        if self.chain_files or self.vtransform is not None or self.periodic != "auto":
            option = "--chain-files" if self.chain_files else "--vtransform" if self.vtransform is not None else "--periodic"
            raise OptionError(f"{option} goes with CROCO and ROMS files, not with files on z-levels")
        reach: dict = {}
        if about is not None:
            reach["center"], reach["half_width_km"] = about()
        ocean = open_zlevel(
            files,
            grid=self.grid,
            model=self.model,
            time_label=self.time_label,
            time_origin=self.time_origin,
            allow_gaps=self.allow_gaps,
            **reach,
        )
        if look:
            from data.balance import look as look_at_flow

            ocean.description["assumptions"] += look_at_flow(ocean)
            if look_closer is not None:
                ocean.description["assumptions"] += look_closer(ocean)
        return ocean

    def _twin(self) -> Ocean:
        if len(self.files) > 1:
            raise OptionError("--ocean takes either 'twin' or files, not both")
        if self.grid is not None:
            raise OptionError(f"--grid {self.grid} goes with files; the twin ocean has its own grid")
        from data.twin.ocean import open_twin

        with Progress("computing the twin ocean", "day") as bar:
            return open_twin(self.years, self.seed, progress=bar.update)

    def _croco(self, files: list[str], look: bool, look_closer: Callable[[Ocean], list[str]] | None) -> Ocean:
        from data.croco import open_croco
        from data.croco.periodic import as_periodic

        if self.time_label != "auto":
            raise OptionError("--time-label goes with files on z-levels; CROCO files are read as they are labelled")
        ocean = open_croco(
            files,
            grid=self.grid,
            time_origin=self.time_origin,
            allow_gaps=self.allow_gaps,
            chain_files=self.chain_files,
            vtransform=self.vtransform,
        )
        if look:
            ocean.look()
            if look_closer is not None:
                ocean.description["assumptions"] += look_closer(ocean)
        return as_periodic(ocean, self.periodic)


def open_ocean(*files: str, **options) -> Ocean:
    """Open an ocean: ``open_ocean("twin", years=1.0)``, ``open_ocean("croco_his.*.nc", grid="croco_grd.nc")``.

    Parameters
    ----------
    *files : str
        ``twin`` (the default), or paths and globs; which model wrote them is found by their variables.
    **options
        The other attributes of :class:`OceanSource`.

    Raises
    ------
    OptionError, InputError
        As :meth:`OceanSource.open`.

    >>> open_ocean("twin", grid="mesh.nc")
    Traceback (most recent call last):
    data.errors.OptionError: --grid mesh.nc goes with files; the twin ocean has its own grid
    """
    return OceanSource(files=tuple(str(name) for name in files) or ("twin",), **options).open()
