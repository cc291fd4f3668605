"""Options of ``python -m data.twin``; light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from data.bounds import MAX_SEED, bounds


@dataclass(frozen=True)
class TwinConfig:
    """Write the twin ocean as files of a simulation (daily u, v, zeta, temp around PAP-SO), or as satellite products."""

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment twin --years 3 --seed 1 --out runs/twin",
        "catchment twin --as lonlat --out runs/twin-lonlat",
    )

    years: Annotated[float, *bounds(above=0, most=1000, unit="years")] = 1.0
    """Length of the record, years of 365 days."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Number of the ocean: another seed gives an independent ocean of the same statistics."""
    family: Annotated[Literal["croco", "lonlat", "nemo"], tyro.conf.arg(name="as")] = "croco"
    """Kind of files: CROCO history files, GLORYS-like files on longitudes, latitudes and 50 depths with a static file, or
    NEMO-like files of U, V and T points with a mesh_mask (in --config: family)."""
    products: bool = False
    """Write satellite-like SSH, SST and chlorophyll (ssh_YYYY.nc, sst_YYYY.nc, chl_YYYY.nc), and bathymetry.nc, instead of
    history files."""
    clouds: bool = True
    """With --products: hide chlorophyll under clouds, about 60 % of it."""
    truth: bool = False
    """With --products: chl_YYYY.nc also holds chl_truth, without noise and cloud."""
    out: Path = field(default_factory=lambda: Path("runs/twin"))
    """Folder of the files."""
