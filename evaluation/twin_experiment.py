"""``python -m evaluation.twin_experiment``: the satellite application on an ocean whose truth is known (paper section 4).

A twin ocean that the networks have not seen gives satellite-like maps, a trap record made of the true particles, and the true
catchments. What the whole chain finds, from maps to R², is then compared with what was planted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from data.command import provenance, read_json, run_command, write_file, write_json
from data.errors import InputError, OptionError, need
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.oceans import OceanSource
from data.progress import Progress
from data.sites import parse_site
from data.trap_flux import write_flux
from data.twin.chlorophyll import Chlorophyll
from data.twin.ocean import open_twin
from data.twin.products import write_products
from evaluation import correlation
from evaluation.cross_correlation import best_rows
from evaluation.options import TwinExperimentConfig
from evaluation.scores import BOXES_KM, bhattacharyya_loss, box_pdf, valid_percent
from lagrangian.backtracking import backtrack
from lagrangian.binning import smooth_pdf
from lagrangian.config import SINKING_SPEEDS, speed_folder
from lagrangian.design import Design
from lagrangian.pdf import EXPORT_M
from lagrangian.stores import open_pdf, open_store
from learning.catchment_file import catchment_dataset
from learning.predict import PredictConfig
from learning.predict import main as predict

#: Design of the releases, besides the paper's speeds: a single trap at the site.
DESIGN: dict[str, Any] = {"site": "pap-so", "positions": 1}
#: Sinking speed that each flux is made with, m/d, and its mean, mg m-2 d-1.
PLANTED = {"dry_weight": (80.0, 100.0), "poc": (150.0, 6.0), "pic": (300.0, 5.0)}
#: A shorter record, years, has fewer than a dozen cups whose particles it holds up to the surface.
LEAST_YEARS = 0.5


def main(config: TwinExperimentConfig) -> int:
    """Write products/, truth/, predicted/, scores.csv and summary.csv under --out.

    The backtracking, the maps and the regridded chlorophyll that are there are kept; the rest is made anew.
    """
    need(config.noise >= 0, f"--noise {config.noise:g}: must be 0 or more")
    need(config.draws >= 1, f"--draws {config.draws}: give 1 or more")
    need(config.years >= LEAST_YEARS, f"--years {config.years:g}: too few cups to correlate; give {LEAST_YEARS:g} or more")
    floor = config.inputs == "sst-ssh-bathymetry"
    need(config.method == "velocity" or not floor, "--inputs sst-ssh-bathymetry needs --method velocity")
    folder = {"unet": "w*/models/sst-ssh", "velocity": f"models/velocity-{config.inputs}"}[config.method]
    need(
        any(config.models.glob(f"{folder}/member-*[0-9].safetensors")),
        f"--models {config.models}: holds no models of {config.inputs} for --method {config.method}; give python -m learning.fit "
        f"--run {config.models} --inputs {config.inputs} first",
    )
    if config.seed in seeds_learnt_from(config.models, folder):
        raise OptionError(f"--seed {config.seed}: the networks of {config.models} were trained on that ocean; choose another")
    ending = "" if config.method == "unet" else f"-{config.method}{'-bathymetry' if floor else ''}"
    run = config.out / "truth"
    predicted = config.out / f"predicted{ending}"
    source = OceanSource(years=config.years, seed=config.seed)
    backtrack(source, Design.at(speeds=SINKING_SPEEDS, **DESIGN), out=run)
    with FolderLock(config.out, "twin_experiment"):
        ocean = open_twin(config.years, config.seed)
        with Progress("stirring chlorophyll", "day") as bar:
            chlorophyll = Chlorophyll.of(ocean, config.seed, bar.update)
        with Progress("writing satellite maps", "map") as bar:
            write_products(ocean, chlorophyll, config.out / "products", seed=config.seed, progress=bar.update)
        write_flux(config.out / "flux.csv", planted_flux(run, chlorophyll, config.noise, config.seed))
        for w in SINKING_SPEEDS:
            write_dataset(run / f"catchment_{speed_folder(w)}.nc", true_catchments(run, w))
    products = str(config.out / "products")
    speeds = SINKING_SPEEDS if config.method == "velocity" else ()  # networks of binned PDFs know those of their run alone
    predict(PredictConfig(run=config.models, method=(config.method,), w=speeds, ssh=(f"{products}/ssh_*.nc",),
                          sst=(f"{products}/sst_*.nc",), bathymetry=config.out / "products/bathymetry.nc" if floor else None,
                          site="pap-so", out=predicted))  # fmt: skip
    tables = {}
    for kind, out in (("truth", run), ("predicted", predicted)):
        correlation.main(correlation.CorrelationConfig(
            predictions=(str(out / "catchment_w*.nc"),), chlorophyll=(f"{products}/chl_*.nc",), flux=config.out / "flux.csv",
            exclude_years=(), draws=config.draws, seed=config.seed, out=out))  # fmt: skip
        tables[kind] = pd.read_csv(out / "correlation.csv")
    summary = summarise(tables)
    scores = catchment_scores(config.out, predicted.name)
    write_file(config.out / f"scores{ending}.csv", scores.to_csv(index=False).encode())
    print(scores.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    write_file(config.out / f"summary{ending}.csv", summary.to_csv(index=False).encode())
    write_json(config.out / f"twin_experiment{ending}.json", provenance(config))
    print(summary.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    print(f"summary: {config.out / f'summary{ending}.csv'}")
    return 0


def seeds_learnt_from(models: Path, folder: str) -> set[int]:
    """Seeds of the twin oceans that the networks of a run learnt from, those of further runs among them."""
    seeds = set()
    if (models / "run.json").exists():
        used = read_json(models / "run.json").get("configuration", {})
        seeds |= {used.get("seed")} if used.get("ocean") == ["twin"] else set()
    for path in models.glob(f"{folder}/fit.json"):
        seeds |= set(read_json(path).get("more_seeds", []))
    return seeds


def catchment_scores(out: Path, predictions: str = "predicted") -> pd.DataFrame:
    """BL and valid % against the truth, at each speed that was predicted, of the satellite predictions and of the boxes."""
    rows = []
    for path in sorted((out / predictions).glob("catchment_w*.nc")):
        with xr.open_dataset(out / "truth" / path.name) as file:
            truth = file.load()
        with xr.open_dataset(path) as file:
            predicted = file.load()
        ends = truth["window_end"].values
        nearest = predicted.set_index(time="window_end")["pdf"].sel(time=ends, method="nearest")
        near = np.abs(nearest["time"].values - ends) <= np.timedelta64(5, "D")
        maps = {"predicted": nearest.values[near], **{name: box_pdf(width)[None] for name, width in BOXES_KM.items()}}
        for name, pdf in maps.items():
            bl = bhattacharyya_loss(truth["pdf"].values[near], pdf)
            rows.append({"sinking_speed": truth.attrs["sinking_speed_m_per_day"], "catchment": name, "n": int(near.sum()),
                         "bl_mean": float(np.mean(bl)), "valid_percent": valid_percent(bl)})  # fmt: skip
    return pd.DataFrame(rows)


def planted_lag(w: float, trap_depth: float = 3000.0) -> float:
    """Days that particles take from the export depth to the trap in still water."""
    return (trap_depth - EXPORT_M) / w


def planted_flux(run: Path, chlorophyll: Chlorophyll, noise: float, seed: int) -> pd.DataFrame:
    """A cup for each collection period: the mean chlorophyll that its particles met when they crossed 200 m, and noise.

    Columns open, close, dry_weight, poc, pic (mg m-2 d-1), each at its speed of :data:`PLANTED`.
    """
    columns: dict = {}
    random = np.random.default_rng([seed, 21])
    for name, (w, mean) in PLANTED.items():
        particles = open_store(run / speed_folder(w) / "particles.zarr", "particles").sel(level=EXPORT_M)
        met = chlorophyll.sample(particles["lon"].values, particles["lat"].values, particles["time"].values)
        # a cup of which less than half of the particles reached the surface within the record is empty
        enough = np.isfinite(met).mean(axis=1) >= 0.5
        signal = np.full(met.shape[0], np.nan)
        signal[enough] = np.nanmean(met[enough], axis=1)
        signal *= mean / np.nanmean(signal)
        noisy = signal + noise * np.nanstd(signal) * random.standard_normal(signal.size)
        columns.setdefault("open", pd.to_datetime(particles["collection_start"].values))
        columns.setdefault("close", pd.to_datetime(particles["collection_end"].values))
        columns[name] = np.maximum(noisy, 0.0)
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(columns["open"]) + 1, name="cup"))


def true_catchments(run: Path, w: float) -> xr.Dataset:
    """The smoothed PDFs of a run's particles at 200 m as a catchment file."""
    store = open_pdf(run / speed_folder(w) / "pdf.zarr").sel(level=EXPORT_M)
    pdf = smooth_pdf(store["pdf"].values.astype(np.float32))
    finite = np.isfinite(pdf).all(axis=(1, 2))
    ends = store["collection_end"].values.astype("datetime64[s]")
    source, site = (str(store.attrs.get(name, default)) for name, default in (("source", "simulation"), ("site", "pap-so")))
    truth = catchment_dataset(parse_site(site), w, ends[finite], pdf[finite], source=f"particles of the {source} itself")
    return truth.assign_attrs(maps_source=source)


def summarise(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a flux: planted lag, and by kind of catchment its best lag and its R² there beside those of boxes and chance.

    ``kept`` is the share of the true catchment's gain over the better box, each at its own best lag
    (:func:`~evaluation.cross_correlation.best_rows`), that the predicted one keeps.

    Raises
    ------
    InputError
        A flux has no R² at any lag.
    """
    rows, best = [], {}
    for kind, table in tables.items():
        of = best_rows(table)
        best[kind] = of[of["period"] == "all"].set_index(["variable", "catchment"])
    for name, (w, _) in PLANTED.items():
        row: dict = {"variable": name, "sinking_speed": w, "planted_lag": planted_lag(w)}
        for kind, of in best.items():
            if (name, "catchment") not in of.index:
                raise InputError(f"{kind} catchments: {name} has an R² at no lag; the record is too short, give more --years")
            best_row = of.loc[(name, "catchment")]
            row |= {f"lag_{kind}": best_row["lag"], f"r2_{kind}": best_row["r2"], f"random_p90_{kind}": best_row["random_p90"]}
        for box in BOXES_KM:
            row[f"r2_{box}"] = best["truth"]["r2"].get((name, box), np.nan)
        better = max(row["r2_box100"], row["r2_box200"])
        gain = row["r2_truth"] - better
        row["kept"] = (row["r2_predicted"] - better) / gain if gain > 0 else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    sys.exit(run_command(TwinExperimentConfig, main, prog="evaluation.twin_experiment"))
