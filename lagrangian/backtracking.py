"""Backtracking as a function: an ocean and a design in, catchments in memory or in stores out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from data.errors import OptionError
from data.machine import need_memory
from data.ocean import Ocean
from data.oceans import OceanSource
from lagrangian.binning import BINS
from lagrangian.campaign import Campaign
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.config import RunConfig
from lagrangian.design import Design, speed_folder
from lagrangian.experiments import PlacedDesign, design_experiments
from lagrangian.integration import Integration
from lagrangian.limits import check_lattice, check_run
from lagrangian.oceans import open_for
from lagrangian.record import HANDED_IN
from lagrangian.results import cohort_values
from lagrangian.stores import FILLED, create_particles, create_pdf, open_pdf, open_store, with_bin_positions, with_pdf

#: Variables of particles.zarr whose names pdf.zarr gives to its bins, and how the dataset of both calls them.
PARTICLE_NAMES = {name: f"particle_{name}" for name in ("x", "y", "lon", "lat")}
#: Bytes of one bin in memory: counts and PDF; and of one crossing of a particle.
BIN_BYTES, CROSSING_BYTES = 12, 48


def backtrack(
    ocean: Ocean | OceanSource,
    design: Design,
    integration: Integration | None = None,
    *,
    out: Path | str | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> xr.Dataset:
    """Backtrack the particles of a design through an ocean, and bin where they cross each level.

    Parameters
    ----------
    ocean : Ocean or OceanSource
        From :func:`data.open_ocean`, or anything that satisfies :class:`data.ocean.Ocean`; or where it comes from.
    design : Design
        What is released and recorded.
    integration : Integration, optional
        The numerics; what it leaves open is as the ocean prefers it.
    out : path, optional
        A run folder. Without it everything stays in memory. With it the folder holds what ``python -m lagrangian.run`` writes
        (the same command goes on with it where ``ocean`` is an :class:`OceanSource`): stores, run.json, maps; a call that was
        broken off is gone on with by the same call.
    progress : callable, optional
        In memory: called with (windows done, windows in all, particle-steps made).

    Returns
    -------
    Dataset
        Of dims (sinking_speed, experiment, particle, level, y, x), with the names, units and coordinates of pdf.zarr
        (:func:`lagrangian.open_pdf`: ``pdf``, ``counts``, ``reached``; bins ``x``, ``y``, ``lon``, ``lat``) and of particles.zarr
        (``time``, ``status``, ``release_time``, ``release_lon``, ``release_lat``). Displacement and position of a crossing are
        called ``particle_x``, ``particle_y`` (km), ``particle_lon``, ``particle_lat``. In memory; with ``out``, lazy.

    Raises
    ------
    OptionError
        A value out of bounds, a trap outside the domain or on land, whole paths without ``out``, more than memory holds.
    InputError
        The record is too short, or cannot be read.
    StoreError
        ``out`` cannot be written, or holds results of another configuration.

    >>> from data import open_ocean
    >>> design = Design.at("pap-so", speeds=1000, positions=1, particles=1, levels=[2000], release_every=240)
    >>> found = backtrack(open_ocean("twin", years=0.04), design, Integration(threads=1))
    >>> dict(found.sizes)["experiment"], float(found["pdf"].isel(experiment=0).sum())
    (2, 1.0)
    """
    integration = integration or Integration()
    design.validate()
    integration.validate()
    if out is not None:
        return _into_stores(ocean, design, integration, Path(out))
    if design.trajectories is not None:
        raise OptionError("whole paths (trajectories) go to a store only: give out=, a run folder")
    if isinstance(ocean, OceanSource):
        ocean = open_for(ocean, design, vertical_velocity=integration.vertical_velocity)
    integration = integration.resolved(ocean)
    check_lattice(design)
    placed = design_experiments(design, ocean)
    check_run(placed, integration)
    integration.check(ocean)
    _check_memory(placed)
    stores = {w: {"particles": MemoryStore(), "pdf": MemoryStore()} for w in placed.speeds}
    for w, kinds in stores.items():
        create_particles(kinds["particles"], placed, ocean, w)
        create_pdf(kinds["pdf"], placed, ocean, w)
    groups: dict[float, dict[str, Any]]
    groups = {w: {kind: zarr.open_group(store, mode="r+") for kind, store in kinds.items()} for w, kinds in stores.items()}

    def keep(result: CohortResult) -> None:
        first = result.cohort.period * placed.n_positions
        for kind, values in cohort_values(result, placed, ocean.grid, ("particles", "pdf")).items():
            for name in FILLED[kind]:
                groups[result.cohort.w][kind][name][first : first + placed.n_positions] = values[name]

    cohorts = [Cohort(period, w) for w in placed.speeds for period in range(placed.n_periods)]
    Campaign(ocean, placed, integration, cohorts=cohorts, on_result=keep, progress=progress).run()
    datasets = []
    for kinds in stores.values():
        pdf, particles = (xr.open_zarr(kinds[kind], consolidated=False, chunks=None).load() for kind in ("pdf", "particles"))
        datasets.append(_together(with_bin_positions(with_pdf(pdf)), particles))
    return xr.concat(datasets, _speeds(placed.speeds), **_ALIKE)


def _into_stores(ocean: Ocean | OceanSource, design: Design, integration: Integration, out: Path) -> xr.Dataset:
    from lagrangian.run import write_run

    config = _as_options(ocean, design, integration, out)
    if isinstance(ocean, OceanSource):
        ocean = open_for(ocean, design, vertical_velocity=integration.vertical_velocity)
    write_run(config, ocean)
    stores = []
    for w in design.speeds:
        folder = out / speed_folder(w)
        particles = open_store(folder / "particles.zarr", "particles", chunks={})
        stores.append(_together(open_pdf(folder / "pdf.zarr"), particles))
    return xr.concat(stores, _speeds(design.speeds), **_ALIKE)


#: Coordinates are the same at all speeds; they are not compared.
_ALIKE: dict[str, Any] = {
    "data_vars": "all", "coords": "minimal", "compat": "override", "join": "override", "combine_attrs": "drop_conflicts",
}  # fmt: skip


def _together(pdf: xr.Dataset, particles: xr.Dataset) -> xr.Dataset:
    """A dataset of a speed's two stores; ``release_*`` of particles are variables, since releases may differ between speeds."""
    particles = particles.rename(PARTICLE_NAMES).reset_coords(["release_time", "release_lon", "release_lat"])
    names = [*PARTICLE_NAMES.values(), "time", "status", "release_time", "release_lon", "release_lat"]
    dataset = pdf.assign({name: particles[name].variable for name in names})
    return dataset.drop_encoding().assign_attrs(title="Catchment of a sediment trap: particles, and particles per bin")


def _speeds(speeds: tuple[float, ...]) -> xr.DataArray:
    attrs = {"units": "m d-1", "long_name": "sinking speed of the particles"}
    return xr.DataArray(np.array(speeds), dims="sinking_speed", name="sinking_speed", attrs=attrs)


def _check_memory(design: PlacedDesign) -> None:
    each = len(design.levels) * (BINS**2 * BIN_BYTES + design.n_particles * CROSSING_BYTES)
    need_memory(
        2.0 * len(design.speeds) * design.n_experiments * each,
        f"catchments of {design.n_experiments} experiments at {len(design.speeds)} sinking speeds",
        "give out=, a run folder, or fewer positions, periods or levels",
    )


def _as_options(ocean: Ocean | OceanSource, design: Design, integration: Integration, out: Path) -> RunConfig:
    """The options of ``lagrangian.run`` that say the same, for run.json."""
    options_given = {field.name: getattr(design, field.name) for field in dataclasses.fields(Design)}
    options = {**options_given, **{field.name: getattr(integration, field.name) for field in dataclasses.fields(Integration)}}
    options.update(w=options.pop("speeds"), site=_site_option(design), out=out, ocean=HANDED_IN)
    if isinstance(ocean, OceanSource):
        source = {field.name: getattr(ocean, field.name) for field in dataclasses.fields(OceanSource)}
        seeds = {source.pop("seed"), options["seed"]} - {0}
        if len(seeds) > 1:
            raise OptionError("a run folder knows one seed: give the twin ocean and the integration the same")
        options.update(source, ocean=source["files"], seed=max(seeds, default=0))
        del options["files"]
    return RunConfig(**options)


def _site_option(design: Design) -> str:
    """The site as the command's option has it: a place that the site table does not name, by its position."""
    if isinstance(design.site, str):
        return design.site
    from data.sites import SITES

    place = design.place
    return place.name if SITES.get(place.name) == place else f"{place.x!r},{place.y!r}"
