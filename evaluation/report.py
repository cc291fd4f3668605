"""``python -m evaluation.report``: scores, tables and figures of a run in one self-contained HTML file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data.command import provenance, read_json, run_command, write_json
from data.errors import CatchmentError, InputError
from data.fingerprint import fingerprint_of_file
from data.ocean_names import ocean_title
from data.progress import Progress
from data.registry import SCORES
from evaluation.deep import deep_dynamics, profiles
from evaluation.dynamics import open_dynamics
from evaluation.experiments import BASELINES, NETWORKS
from evaluation.figures.catchments import figure_1, figure_2, figure_a1, figure_a2
from evaluation.figures.dynamics import figure_5, figure_6, figure_b1
from evaluation.figures.film import animate_experiment
from evaluation.figures.scores import figure_3, figure_4, figure_calibration
from evaluation.inputs import input_values, parts_of_record
from evaluation.intervals import BLOCK_DAYS, ENOUGH_BLOCKS, block_of
from evaluation.options import ReportConfig
from evaluation.page import Page, Section
from evaluation.relations import relations, spread_relations
from evaluation.results import SHARES, Scored, SpeedRun, add_distances, add_registered, means_with_intervals
from evaluation.sensitivity import RESOLUTIONS, ResolutionTest, resolution_tables
from evaluation.summary import WORDS, first_screen, main_table
from lagrangian.binning import VALID_BL
from lagrangian.config import SINKING_SPEEDS, speed_folder
from lagrangian.pdf import export_level
from lagrangian.stores import STATUS_MEANINGS, ocean_of
from learning.folders import found_speeds, models_folder, run_record
from learning.inputs import InputSpec

#: Level whose true PDFs tell of the deep part of the way (paper Fig. 5), m.
DEEP_LEVEL = 1000.0
#: The shown experiments, each given by the share of experiments that are predicted better.
EXAMPLES = (0.1, 0.5, 0.9)


def main(config: ReportConfig) -> int:
    """Build the report; see contract.md for what is written."""
    config.validate()
    speeds = found_speeds(config.run)
    run = run_record(config.run)  # a damaged file is refused before the work begins
    ocean = ocean_title(ocean_of(config.run))
    with Progress("report", "step") as bar:
        page = Page(config.out or config.run / "report", bar, (6 + RESOLUTIONS) * len(speeds), ocean)
        runs, failed = _scored(page, config, speeds)
        failed += _absent_speeds(config.run, speeds)
        earlier = page.earlier()
        entries = [entry for scored in runs for entry in scored.entries]
        record = {**provenance(config), "ocean": ocean, "scores": entries, "correlations": [], "spread": [], "left_out": failed,
                  "files": earlier}  # fmt: skip
        write_json(page.folder / "metrics.json", record)
        page.section("Scores", lambda section: _scores(page, section, runs, failed, config))
        page.section("Catchments", lambda section: _catchments(page, section, runs))
        page.section("Single experiments", lambda section: _examples(page, section, runs, config))
        page.section("Calibration", lambda section: _calibration(page, section, runs, record["spread"], config))
        page.section("Inputs", lambda section: _inputs(page, section, runs))
        page.section("Effective resolution", lambda section: _resolution(page, section, runs, config))
        page.section("Deep dynamics", lambda section: _deep(page, section, runs, record["correlations"], config))
    page.section("The run", lambda section: _run(page, section, runs, run))
    write_json(page.folder / "metrics.json", {**record, "files": sorted(page.written)})
    page.remove(earlier)
    about = {"report": record["configuration"], "run": run.get("configuration", {}), "versions": record["versions"],
             "git_commit": record["git_commit"], "ocean": run.get("ocean", {})}  # fmt: skip
    caption = "Valid and overlap, %, of held-out catchments, with 95 % intervals; in round brackets what the paper found."
    path = page.write(
        f"Catchments of {config.run.resolve().name}" + (f": {ocean}" if ocean else ""), about,
        first=first_screen(runs, ocean, run, page.missing), main=main_table(runs), main_caption=caption, words=WORDS,
    )  # fmt: skip
    print(_summary(runs).to_string(index=False))
    print(f"report: {path}", flush=True)
    if failed:
        # what could be reported is written; a script must not take it for all of the run
        raise InputError(f"the report leaves out {len(failed)} speed{'s' * (len(failed) > 1)} of the run: {'; '.join(failed)}")
    return 0


def _scored(page: Page, config: ReportConfig, speeds: Sequence[float]) -> tuple[list[Scored], list[str]]:
    """The speeds that can be scored, and why others cannot; InputError where none can."""
    runs, failed = [], []
    for w in page.each(speeds, "scores"):
        try:
            runs.append(Scored.of(SpeedRun.open(config.run, w, config.level), config.seed))
        except CatchmentError as error:
            failed.append(str(error))
    if not runs:
        further = len(failed) - 1
        more = f" (and so with the other {'speed' if further == 1 else f'{further} speeds'} of the run)" if further else ""
        raise InputError(f"{failed[0]}{more}")
    return runs, failed


def _absent_speeds(run: Path, speeds_found: Sequence[float]) -> list[str]:
    """A line for each speed that run.json says was finished and whose PDFs are not there any more."""
    names = run_record(run).get("result", {}).get("particles", {})
    lost = [name for name in names if name not in {speed_folder(w) for w in speeds_found}]
    return [f"{run / name / 'pdf.zarr'} is absent, though run.json counts its particles: give the run's command again"
            for name in lost]  # fmt: skip


# -- scores --------------------------------------------------------------------------------------------------------------


def _scores(page: Page, section: Section, runs: list[Scored], failed: list[str], config: ReportConfig) -> None:
    section.text.append(
        f"Scored are the catchments at {_levels(runs)}. BL is the Bhattacharyya loss (0 best), F the overlap with the true PDF, "
        f"valid the share of experiments with BL < {VALID_BL:g}; brackets and bars are 95 % intervals from blocks of "
        f"{BLOCK_DAYS:g} days drawn with replacement; without two blocks that hold data there are none. BL less "
        "the best baseline's: the mean difference over the same experiments (below 0: the network is better), to whichever of "
        f"{', '.join(BASELINES)} has the least mean BL there. climatology is the mean PDF of the training experiments, "
        "climatology-root the one PDF of least expected BL, (mean of the PDFs' square roots)², made to sum 1."
    )
    for line in failed:
        page.miss(section, line)
    for scored in runs:
        section.text.extend(f"w = {scored.w:g} m/d: {note}." for note in scored.speed.notes)
        for name in scored.speed.predictions:
            if name not in scored.models:
                page.miss(section, f"no prediction of {name} at {scored.w:g} m/d can be scored in the {scored.split} split")
    for line in (*_too_few_blocks(runs), *_not_predicted(runs)):
        page.miss(section, line)
    if config.emd_experiments > 0:
        for scored in page.each(runs, "distances"):
            why = add_distances(scored, limit=config.emd_experiments, seed=config.seed)
            if why is not None:
                page.miss(section, f"no earth mover's distance: {why}")
            for line in add_registered(scored, limit=config.emd_experiments, seed=config.seed):
                page.miss(section, line)
    page.csv("scores", pd.DataFrame([entry for one in runs for entry in one.entries]))
    page.table(section, "Smoothed PDFs, and BL of PDFs as counted (all splits in the CSV)", _summary(runs), "scores")
    if config.emd_experiments > 0:
        caption = (
            f"Other distances from the smoothed true PDF (at most {config.emd_experiments} experiments, drawn by chance). EMD: "
            "the earth mover's, how far predicted mass must be moved on average (within the box, 40 km cells)"
        )
        page.table(section, caption, _distances(runs))
        entries = [entry for scored in runs for entry in scored.reported]
        _say_without_interval(page, section, entries, "hellinger_mean", "other distances")
    single = {scored.w: (scored.best, scored.of_model("bl", scored.best), scored.of_model("f", scored.best)) for scored in runs}
    caption = (
        "Scores against sinking speed (the paper's Figure 4); lower right: F computed, of the best informed model, beside the "
        "authors' fit of F on BL."
    )
    entries = [entry for scored in runs for entry in scored.reported]
    page.figure(section, "figure_4", caption, figure_4(entries, single, level=_levels(runs)))


def _too_few_blocks(runs: list[Scored]) -> list[str]:
    """A sentence on intervals from few resampling blocks, for each number of blocks."""
    speeds: dict[tuple[str, int], list[str]] = {}
    for scored in runs:
        few = min(entry["blocks"] for entry in scored.reported)
        if few < ENOUGH_BLOCKS:
            speeds.setdefault((scored.split, few), []).append(f"{scored.w:g}")
    return [
        f"The experiments (split {split}) at {', '.join(named)} m/d span {few} block{'s' * (few > 1)} of {BLOCK_DAYS:g} days: "
        + ("no interval can be given" if few == 1 else f"the intervals are too narrow (they need {ENOUGH_BLOCKS} or more)")
        + "; a longer record would mend it (--years, or more files)"
        for (split, few), named in speeds.items()
    ]


def _say_without_interval(page: Page, section: Section, entries: list[dict], name: str, subject: str) -> None:
    """A line of the section where a quantity ``name`` of some entries is known and its interval is not."""
    without = [entry for entry in entries if pd.notna(entry.get(name)) and pd.isna(entry[f"{name}_low"])]
    if without:
        speeds = ", ".join(f"{w:g}" for w in sorted({entry["w"] for entry in without}))
        page.miss(section, f"no interval of {subject} at {speeds} m/d: fewer than two blocks of {BLOCK_DAYS:g} days hold data")


def _not_predicted(runs: list[Scored]) -> list[str]:
    """The input sets without predictions, and the commands that would add them: a line for all speeds alike."""
    speeds: dict[tuple[tuple[str, ...], bool], list[float]] = {}
    for scored in runs:
        absent = [name for name in NETWORKS if name not in scored.speed.predictions]
        for trained in (False, True):
            names = tuple(name for name in absent if _is_trained(scored, name) == trained)
            if names:
                speeds.setdefault((names, trained), []).append(scored.w)
    lines = []
    for (names, trained), lacking in speeds.items():
        run = runs[0].speed.run
        ws = " ".join(f"{w:g}" for w in lacking)
        of_speeds = f" --w {ws}" if len(lacking) < len(runs) else ""
        fit = f"python -m learning.fit --run {run} --inputs {' '.join(names)}{of_speeds}"
        commands = ("" if trained else f"{fit}, then ") + f"python -m learning.predict --run {run}"
        lines.append(f"no predictions of {', '.join(names)} at {ws.replace(' ', ', ')} m/d: {commands}")
    return lines


def _is_trained(scored: Scored, name: str) -> bool:
    return any(models_folder(scored.speed.run, scored.w, name).glob("member-*.safetensors"))


def _summary(runs: list[Scored]) -> pd.DataFrame:
    """Scores of the reported splits, with their intervals, for people."""
    table = pd.DataFrame([entry for scored in runs for entry in scored.reported])
    raw = pd.DataFrame([entry for scored in runs for entry in scored.of_target("raw")])
    columns = {
        "w, m/d": table["w"], "model": table["model"], "split": table["split"], "n": table["n"],
        "BL": _interval(table, "bl_mean", 1, 3), "F, %": _interval(table, "f_mean", 100, 1),
        "valid, %": _interval(table, "valid_percent", 1, 1), "BL, raw": _interval(raw, "bl_mean", 1, 3),
    }  # fmt: skip
    if "bl_less_baseline" in table:
        columns["BL less the best baseline's"] = _interval(table, "bl_less_baseline", 1, 3)
        columns["best baseline"] = table["baseline"].fillna("–")
    return pd.DataFrame(columns)


def _distances(runs: list[Scored]) -> pd.DataFrame:
    table = pd.DataFrame([entry for scored in runs for entry in scored.reported])
    columns = {"EMD, km": ("emd_km_mean", 0), "Hellinger": ("hellinger_mean", 3), "Jensen-Shannon": ("jensen_shannon_mean", 3)}
    columns |= {name: (f"{name}_mean", 3) for name in SCORES.names()}
    return pd.DataFrame({
        "w, m/d": table["w"], "model": table["model"], "n": table["distances_n"],
        **{label: _interval(table, name, 1, digits) for label, (name, digits) in columns.items() if name in table},
    })  # fmt: skip


def _interval(table: pd.DataFrame, name: str, scale: float, digits: int) -> list[str]:
    """A column of numbers with their intervals, where known, as text."""
    columns = (scale * table[column].to_numpy(dtype=float) for column in (name, f"{name}_low", f"{name}_high"))
    rows = ([f"{round(value, digits) + 0.0:.{digits}f}" if np.isfinite(value) else "–" for value in row] for row in zip(*columns))
    return [middle + (f" [{low}, {high}]" if low != "–" else "") for middle, low, high in rows]


# -- catchments ----------------------------------------------------------------------------------------------------------


def _catchments(page: Page, section: Section, runs: list[Scored]) -> None:
    rows = []
    for scored in page.each(runs, "catchments"):
        smoothed = scored.found.sel(target="smoothed")
        distance = np.hypot(smoothed["mass_centre_x"].values, smoothed["mass_centre_y"].values)
        low, middle, high = np.nanpercentile(distance, (10, 50, 90))
        rows.append({"w, m/d": scored.w, "experiments": int(np.isfinite(distance).sum()), "mass centre, km (median)": middle,
                     "10 %": low, "90 %": high, "entropy (median)": float(smoothed["entropy"].median())})  # fmt: skip
        picture = scored.speed.run / speed_folder(scored.w) / "catchment.png"
        if picture.exists():
            drawn = export_level(scored.speed.store["level"].values)
            caption = f"Mean catchment and single experiments at {drawn:g} m, the run's export level, w = {scored.w:g} m/d."
            page.image(section, f"catchment_{speed_folder(scored.w)}", caption, picture.read_bytes(), "png")
        else:
            page.miss(section, f"{picture} is absent: the run was not finished; give its command again")
    page.table(section, f"True catchments at {_levels(runs)} (smoothed PDFs)", pd.DataFrame(rows), "catchments")


def _levels(runs: list[Scored]) -> str:
    """The scored levels, m, in words."""
    return " and ".join(f"{level:g} m" for level in sorted({scored.speed.export_m for scored in runs}))


def _examples(page: Page, section: Section, runs: list[Scored], config: ReportConfig) -> None:
    for scored in page.each(runs, "single experiments"):
        run, folder, at = scored.speed, speed_folder(scored.w), f"w = {scored.w:g} m/d"
        names = [name for name in scored.models if name != "box100"]
        bl = scored.of_model("bl", scored.best)
        scored_numbers = np.flatnonzero(np.isfinite(bl))
        ranked = scored_numbers[np.argsort(bl[scored_numbers], kind="stable")]
        picked = [int(ranked[round(share * (ranked.size - 1))]) for share in EXAMPLES]
        pairs = [run.pairs(experiment) for experiment in picked]
        truth = np.concatenate([true for true, _ in pairs])
        predictions = {name: np.concatenate([guess[name] for _, guess in pairs]) for name in names}
        titles = [f"{str(run.store['collection_start'].values[k])[:10]}, trap {int(run.store['position'][k])}" for k in picked]
        caption = f"At the 10th, 50th, 90th percentile of {scored.best}'s BL (the paper's Figure 2), {at}."
        figure = figure_2(run.store["x"].values, run.store["y"].values, truth, predictions, titles)
        page.figure(section, f"figure_2_{folder}", caption, figure)
        networks = [name for name in run.predictions if name in names]
        if networks:
            caption = f"True and predicted distance of the mass centre and entropy (the paper's Figure A2), {at}."
            true, predicted = run.shapes(scored.found.sel(target="smoothed"), np.flatnonzero(scored.chosen), networks)
            page.figure(section, f"figure_a2_{folder}", caption, figure_a2(true, predicted, level=run.export_m))
        with page.part(section):
            caption = f"The traps, and where the particles of one experiment crossed each level (Figure 1), {at}."
            page.figure(section, f"figure_1_{folder}", caption, figure_1(run.run, run.w, picked[1]))
        with page.part(section):
            film = page.folder / "figures" / f"experiment_{folder}.gif"
            animate_experiment(run.run, run.w, picked[1], film)
            page.image(section, film.stem, f"The same experiment, backward in time, {at}.", film.read_bytes(), "gif")


# -- the networks --------------------------------------------------------------------------------------------------------


def _calibration(page: Page, section: Section, runs: list[Scored], spread: list[dict], config: ReportConfig) -> None:
    section.text.append(
        "A contour that is said to hold a share of the prediction should hold that share of the true particles, and the spread "
        "of the ensemble should be larger where the prediction is worse."
    )
    rows, without = [], []
    for scored in page.each(runs, "calibration"):
        networks = [name for name in scored.speed.predictions if name in scored.models]
        if not networks:
            without.append(f"{scored.w:g}")
            continue
        block = block_of(scored.found["collection_start"].values)
        ours = []
        for name in networks:
            inside = 100 * scored.speed.calibration(name, scored.split)
            n = int(np.isfinite(inside[:, 0]).sum())
            ours += [{"w": scored.w, "model": name, "split": scored.split, "n": n, "contour": 100 * share,
                      **means_with_intervals({"within": values}, block, config.seed)}
                     for share, values in zip(SHARES, inside.T, strict=True)]  # fmt: skip
        entries = [entry for entry in spread_relations(scored, seed=config.seed) if entry["model"] in networks]
        ranks = dict(zip(networks, _interval(pd.DataFrame(entries), "spearman", 1, 2), strict=True))
        dots = {name: (scored.found[f"spread_{name}"].values, scored.of_model("bl", name)) for name in networks}
        caption = (
            f"Do contours hold what they say (left), and does the spread tell bad predictions (right)? w = {scored.w:g} m/d, n = "
            f"{', '.join(str(entry['n']) for entry in entries)}; brackets and bars: 95 % intervals."
        )
        figure = figure_calibration(pd.DataFrame(ours), dots, ranks, scored.w)
        page.figure(section, f"calibration_{speed_folder(scored.w)}", caption, figure)
        rows += ours
        spread += entries
    if without:
        page.miss(section, f"no scored predictions to calibrate at {', '.join(without)} m/d (the commands: see Scores)")
    if rows:
        _say_without_interval(page, section, rows, "within", "contours")
        table = pd.DataFrame(rows)
        page.csv("calibration", table)
        columns = table[["w", "model", "split", "n"]].rename(columns={"w": "w, m/d"})
        columns = columns.assign(**{"contour, %": table["contour"], "true particles within, %": _interval(table, "within", 1, 1)})
        page.table(section, "True particles within contours of the prediction", columns)
        page.table(section, "Correlation of BL with the ensemble's spread, over experiments", _correlation_table(spread))
        page.csv("spread", pd.DataFrame(spread))


def _inputs(page: Page, section: Section, runs: list[Scored]) -> None:
    scored = next((scored for scored in runs if scored.speed.predictions), None)
    parts = parts_of_record(scored.speed, scored.split) if scored is not None else {}
    if scored is None or not parts:
        run = runs[0].speed.run
        page.miss(
            section,
            "no part of this record was learnt from, or none held out: with networks trained on this run (python -m learning.fit "
            f"--run {run}, then python -m learning.predict --run {run}) the inputs of both parts are compared",
        )
        return
    resolution = InputSpec.of("sst-ssh").resolution_km
    sets = {label: input_values(scored.speed.run, *dates, resolution) for label, dates in parts.items()}
    section.text.extend(f"{label}: {first!s:.10} to {last!s:.10}." for label, (first, last) in parts.items())
    caption = (
        "Distributions of the surface inputs (the paper's Figure A1), SSH and temperature at the effective resolution of "
        f"satellite maps ({resolution['ssh']:g} and {resolution['temp']:g} km)."
    )
    page.figure(section, "figure_a1", caption, figure_a1(sets))


def _resolution(page: Page, section: Section, runs: list[Scored], config: ReportConfig) -> None:
    if config.resolution_experiments == 0:
        page.miss(section, "left out: --resolution-experiments 0")
        return
    without, tests = [], []
    for scored in runs:
        if "sst-ssh" not in scored.models or not _is_trained(scored, "sst-ssh"):
            without.append(f"{scored.w:g}")
            continue
        with page.part(section):
            models, limit = models_folder(scored.speed.run, scored.w, "sst-ssh"), config.resolution_experiments
            tests.append((scored, ResolutionTest.of(scored.speed, models, scored.split, limit=limit, seed=config.seed)))
    if tests:
        tables = resolution_tables([test for _, test in tests], seed=config.seed, step=lambda: page.step("resolution"))
        for (scored, test), table in zip(tests, tables, strict=True):
            _resolution_of(page, section, scored, table, test.ensemble.spec.resolution_km)
    if without:
        run = runs[0].speed.run
        page.miss(
            section,
            f"no networks in this run's models/sst-ssh with scored predictions at {', '.join(without)} m/d: python -m "
            f"learning.fit --run {run} --inputs sst-ssh, then python -m learning.predict --run {run}",
        )


def _resolution_of(page: Page, section: Section, scored: Scored, table: pd.DataFrame, training_km: Mapping[str, float]) -> None:
    folder = speed_folder(scored.w)
    page.csv(f"resolution_{folder}", table)
    _say_without_interval(page, section, table.assign(w=scored.w).to_dict("records"), "bl_mean", "degraded inputs")
    columns = table[["variable", "resolution_km", "n"]].rename(columns={"resolution_km": "resolution, km"})
    columns = columns.assign(**{"BL": _interval(table, "bl_mean", 1, 3), "valid, %": _interval(table, "valid_percent", 1, 1)})
    page.table(section, f"Degraded inputs, {scored.split} experiments, w = {scored.w:g} m/d", columns)
    caption = f"Valid predictions against the effective resolution of the inputs (the paper's Figure 3), w = {scored.w:g} m/d."
    page.figure(section, f"figure_3_{folder}", caption, figure_3(table, scored.w, training_km, scored.split))


# -- the deep sea --------------------------------------------------------------------------------------------------------


def _deep(page: Page, section: Section, runs: list[Scored], correlations: list[dict], config: ReportConfig) -> None:
    section.text.append(
        f"BL at {_levels(runs)} against what happened at depth: entropy and mass centre of the true PDF at {DEEP_LEVEL:g} m "
        "(the paper's Figure 5), kinetic energy and relative vorticity of the deep sea around the trap (Figure 6), and their "
        "profiles (Figure B1). In the paper BL is larger, so predictions are worse, where the mass centre at 1000 m is far and "
        "the deep kinetic energy strong."
    )
    for scored in page.each(runs, "deep dynamics"):
        folder, title, reported = speed_folder(scored.w), f"w = {scored.w:g} m d⁻¹", scored.chosen
        bl = {name: scored.of_model("bl", name)[reported] for name in scored.models}
        bl = {name: values for name, values in bl.items() if not name.startswith("box")} or bl
        quantities: dict[str, np.ndarray] = {}
        with page.part(section):
            entropy, distance = scored.speed.shape_at(DEEP_LEVEL)
            caption = f"BL by entropy and mass centre of the true PDF at {DEEP_LEVEL:g} m, w = {scored.w:g} m/d."
            page.figure(section, f"figure_5_{folder}", caption, figure_5(entropy[reported], distance[reported], bl, title=title))
            quantities |= {f"mass centre at {DEEP_LEVEL:g} m": distance, f"entropy at {DEEP_LEVEL:g} m": entropy}
        with page.part(section):
            deep = deep_dynamics(scored.speed.run, scored.w, config.depth_range)
            low, high = deep.attrs["depth_range_m"]
            vorticity, ke = deep["vorticity_over_f"].values, deep["ke"].values
            caption = f"BL by vorticity and kinetic energy between {low:g} and {high:g} m, w = {scored.w:g} m/d."
            figure = figure_6(vorticity[reported], ke[reported], bl, depths=(low, high), title=title)
            page.figure(section, f"figure_6_{folder}", caption, figure)
            quantities |= {f"KE, {low:g}–{high:g} m": ke, f"|ζ/f|, {low:g}–{high:g} m": np.abs(vorticity)}
        entries_of_speed = relations(scored, quantities, seed=config.seed)
        section.text.extend(_verdict(entries_of_speed, scored))
        correlations += entries_of_speed
    if correlations:
        caption = (
            "Correlation of BL (smoothed) with what happened at depth, and 95 % intervals (positive: the larger, the worse; "
            "split every: all experiments, for models that have learnt nothing)"
        )
        page.csv("correlations", pd.DataFrame(correlations))
        page.table(section, caption, _correlation_table(correlations))
    caption = "Kinetic energy and spread of vorticity around the traps, by depth; the paper's are of its simulation at PAP-SO."
    page.figure(section, "figure_b1", caption, figure_b1(profiles(open_dynamics(runs[0].speed.run))))


def _correlation_table(entries: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(entries)
    return pd.DataFrame({
        "w, m/d": table["w"], "model": table["model"], "split": table["split"], "BL against": table["quantity"], "n": table["n"],
        "blocks": table["blocks"], "Pearson": _interval(table, "pearson", 1, 2), "Spearman": _interval(table, "spearman", 1, 2),
    })  # fmt: skip


def _verdict(entries: list[dict], scored: Scored) -> list[str]:
    """Sentences on the relation of the best informed model's BL to each quantity; none without a correlation.

    A way, better or worse, is said only where the interval of the correlation is known and leaves 0 out.
    """
    lines, untold, n = [], [], 0
    for entry in entries:
        if (entry["model"], entry["split"]) != (scored.best, scored.split) or entry["pearson"] is None:
            continue
        low, high = entry["pearson_low"], entry["pearson_high"]
        n = max(n, entry["n"])
        r = f"{entry['quantity']} (r = {round(entry['pearson'], 2) + 0.0:.2f}"
        if low is None:
            untold.append(f"{r}, no interval)")
        elif low <= 0 <= high:
            untold.append(f"{r}, 0 within the interval)")
        else:
            lines.append(f"{'worsens' if entry['pearson'] > 0 else 'improves'} with {r})")
    if untold:
        lines.append(f"shows no relation that could be told from none with {', '.join(untold)}")
    subject = f"At {scored.w:g} m/d BL of {scored.best} ({n} experiments, split {scored.split})"
    return [f"{subject} {', '.join(lines)}."] if lines else []


# -- the run -------------------------------------------------------------------------------------------------------------


def _run(page: Page, section: Section, runs: list[Scored], run: dict) -> None:
    for speed, ends in run.get("result", {}).get("particles", {}).items():
        section.text.append(
            f"{speed}: " + ", ".join(f"{count} {STATUS_MEANINGS.get(kind, kind)}" for kind, count in ends.items())
        )
    section.text.extend(f"Assumed: {text}." for text in run.get("ocean", {}).get("assumptions", ()))
    if not run:
        page.miss(section, f"{runs[0].speed.run / 'run.json'} is absent: what was run is not known")
    absent = [w for w in SINKING_SPEEDS if w not in found_speeds(runs[0].speed.run)]
    if absent:
        named = ", ".join(f"{w:g}" for w in absent)
        again = f"; to add them: {_again(run['command_line'], absent)}" if "command_line" in run else ""
        section.text.append(f"Speeds of the paper that this run lacks: {named} m/d{again}")
    networks = [_network(scored, name) for scored in runs for name in scored.speed.predictions]
    if networks:
        page.table(section, "The networks that predicted, and what they learnt from", pd.DataFrame(networks), "networks")


def _again(command_line: str, speeds: Sequence[float]) -> str:
    """The command of a run, for other speeds."""
    words, skip = [], False
    for word in shlex.split(command_line)[1:]:
        if word.startswith("--"):
            skip = word == "--w"
        if not skip and not word.startswith("--w="):
            words.append(word)
    return shlex.join(["python", "-m", "lagrangian.run", *words, "--w", *(f"{w:g}" for w in speeds)])


def _network(scored: Scored, name: str) -> dict:
    """Facts in fit.json about the networks of some predictions, if the file is of these networks."""
    store, folder = scored.speed.predictions[name], models_folder(scored.speed.run, scored.w, name)
    row = {"w, m/d": scored.w, "inputs": name, "members": store.attrs.get("members", "")}
    members = [fingerprint_of_file(path) for path in sorted(folder.glob("member-*[0-9].safetensors"))]
    if not members or members != store.attrs.get("identity", {}).get("networks") or not (folder / "fit.json").exists():
        return row | dict.fromkeys(("preset", "epochs", "train", "validation", "test"), "of another folder")
    fit = read_json(folder / "fit.json")
    split = fit.get("split", {})
    parts = {part: " to ".join(date[:10] for date in split.get(part, ())) for part in ("train", "validation", "test")}
    return row | {"preset": fit["configuration"]["preset"], "epochs": fit["identity"]["preset"]["epochs"], **parts}


if __name__ == "__main__":
    sys.exit(run_command(ReportConfig, main, prog="evaluation.report"))
