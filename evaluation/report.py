"""``python -m evaluation.report``: scores, tables and figures of a run in one self-contained HTML file."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from data.command import provenance, run_command, write_file, write_json
from data.errors import CatchmentError, InputError, StoreError
from evaluation.animation import animate_experiment
from evaluation.diagnostics import deep_dynamics, open_dynamics, profiles
from evaluation.experiments import true_pdfs
from evaluation.figures_catchments import figure_1, figure_2, figure_a1, figure_a2
from evaluation.figures_dynamics import figure_5, figure_6, figure_b1
from evaluation.figures_scores import figure_3, figure_4, figure_calibration
from evaluation.inputs import input_values, parts_of_record
from evaluation.intervals import BLOCK_DAYS, ENOUGH_BLOCKS
from evaluation.relations import relations
from evaluation.results import SHARES, SpeedRun, add_earth_movers, metrics, run_record
from evaluation.sensitivity import resolution_scores
from lagrangian.binning import smooth_pdf
from lagrangian.config import speed_folder
from lagrangian.stores import STATUS_MEANINGS
from learning.ensemble import Ensemble
from learning.folders import found_speeds, models_folder
from learning.inputs import InputSpec

DPI = 130
#: Level whose true PDFs tell of the deep part of the way (paper Fig. 5), m.
DEEP_LEVEL = 1000.0
#: Experiments that are shown, by the share of those that are predicted better.
EXAMPLES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class ReportConfig:
    """Score the catchments of a run and write the report."""

    run: Path = Path("runs/demo")
    """Folder of a lagrangian.run, with or without predictions of learning.predict."""
    out: Path | None = None
    """Folder of the report (default: RUN/report)."""
    level: float = 200.0
    """Export level that is scored, m."""
    resolution_experiments: int = 288
    """Experiments of the resolution test (0: leave the test out)."""
    emd_experiments: int = 200
    """Experiments whose earth mover's distance is computed (0: leave it out)."""
    seed: int = 0
    """Of the bootstrap and of the choice of experiments."""


@dataclass
class Section:
    """A part of the report: its paragraphs, tables and figures."""

    title: str
    text: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Report:
    """Collects sections, and writes their figures and tables beside the page."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sections: list[Section] = []
        for name in ("figures", "tables"):
            try:
                (folder / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"--out {folder} cannot be made: {error.strerror or error}") from None

    def section(self, title: str, build: Callable[[Section], None]) -> Section:
        """Add a section; bad input within it becomes a line of the page, not the end of the report."""
        section = Section(title)
        try:
            build(section)
        except CatchmentError as error:
            section.missing.append(str(error))
        self.sections.append(section)
        return section

    def figure(self, section: Section, name: str, caption: str, figure: Figure) -> None:
        """Keep a figure as PNG and in the page."""
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=DPI, format="png")
        write_file(self.folder / "figures" / f"{name}.png", buffer.getvalue())
        section.figures.append((name, caption, buffer.getvalue(), "png"))

    def csv(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table as CSV."""
        write_file(self.folder / "tables" / f"{name}.csv", table.to_csv(index=False).encode())

    def table(self, section: Section, name: str, caption: str, table: pd.DataFrame) -> None:
        """Keep a table as CSV and in the page."""
        self.csv(name, table)
        section.tables.append((caption, table))

    def write(self, title: str, about: dict) -> Path:
        """Write report.html."""
        page = (
            jinja2.Environment(autoescape=True)
            .from_string(PAGE)
            .render(
                title=title,
                about=json.dumps(about, indent=2),
                sections=self.sections,
                image=lambda data: base64.b64encode(data).decode(),
                rows=lambda table: [[_cell(value) for value in row] for row in table.itertuples(index=False)],
            )
        )
        path = self.folder / "report.html"
        write_file(path, page.encode())
        return path


def _cell(value) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def main(config: ReportConfig) -> int:
    """Build the report; see contract.md for what is written."""
    speeds = found_speeds(config.run)
    report = Report(config.out or config.run / "report")
    runs = [SpeedRun.open(config.run, w, config.level) for w in speeds]
    scores = {one.w: one.score() for one in runs}
    entries = [entry for one in runs for entry in metrics(scores[one.w], one.w)]
    if not entries:
        raise InputError(f"{config.run}: no experiment has particles at {config.level:g} m; there is nothing to score")
    record = {**provenance(config), "scores": entries, "correlations": []}
    write_json(report.folder / "metrics.json", record)
    split = next(name for name in ("test", "all", "validation", "train") if any(entry["split"] == name for entry in entries))
    report.section("Scores", lambda section: _scores(report, section, runs, scores, entries, split, config))
    report.section("Catchments", lambda section: _catchments(report, section, runs, scores))
    report.section("Single experiments", lambda section: _examples(report, section, runs, scores, split))
    report.section("Calibration", lambda section: _calibration(report, section, runs, scores, split))
    report.section("Inputs", lambda section: _inputs(report, section, runs, split))
    report.section("Effective resolution", lambda section: _resolution(report, section, runs, split, config))
    report.section("Deep dynamics", lambda section: _deep(report, section, runs, scores, split, record["correlations"]))
    write_json(report.folder / "metrics.json", record)
    run = run_record(config.run)
    report.section("The run", lambda section: _run(section, run))
    about = {"report": record["configuration"], "run": run.get("configuration", {}), "versions": record["versions"],
             "git_commit": record["git_commit"], "ocean": run.get("ocean", {})}  # fmt: skip
    page = report.write(f"Catchments of {config.run.resolve().name}", about)
    print(_summary(entries, split).to_string(index=False))
    print(f"report: {page}", flush=True)
    return 0


def _scores(report: Report, section: Section, runs, scores, entries, split, config: ReportConfig) -> None:
    section.text.append(
        "BL is the Bhattacharyya loss (0 best), F the overlap with the true PDF, valid the share of experiments with BL < 0.3; "
        f"brackets and bars are 95 % intervals from blocks of {BLOCK_DAYS:g} days drawn with replacement."
    )
    few = min(entry["blocks"] for entry in entries if entry["split"] == split)
    if few < ENOUGH_BLOCKS:
        section.missing.append(
            f"The {split} experiments span {few} {'block' if few == 1 else 'blocks'} of {BLOCK_DAYS:g} days: "
            + ("no interval can be given" if few == 1 else f"the intervals are too narrow (they need {ENOUGH_BLOCKS} or more)")
            + "; a longer record would mend it (--years)"
        )
    if config.emd_experiments > 0:
        try:
            for one in runs:
                add_earth_movers(entries, one, scores[one.w], split, limit=config.emd_experiments, seed=config.seed)
            section.text.append(
                "EMD is the earth mover's distance, km: how far the predicted mass must be moved on average to make the true PDF "
                f"(within the box, 40 km cells; at most {config.emd_experiments} experiments, drawn by chance)."
            )
        except CatchmentError as error:
            section.missing.append(f"no earth mover's distance: {error}")
    for one in runs:
        section.text.extend(f"w = {one.w:g} m/d: {note}." for note in one.notes)
        if not one.predictions:
            section.missing.append(
                f"no predictions at {one.w:g} m/d: python -m learning.fit --run {one.run}, then python -m learning.predict "
                f"--run {one.run}"
            )
    report.csv("scores", pd.DataFrame(entries))
    caption = f"Smoothed PDFs, {split} experiments (all splits and raw PDFs: tables/scores.csv)"
    section.tables.append((caption, _summary(entries, split)))
    single = {}
    for w, found in scores.items():
        chosen = (found["split"] == split).values
        best = found.sel(target="smoothed", model=found["model"].values[-1])
        single[w] = best["bl"].values[chosen], best["f"].values[chosen]
    caption = "Scores against sinking speed (the paper's Figure 4); lower right: F computed, beside the authors' fit of F on BL."
    report.figure(section, "figure_4", caption, figure_4(entries, split, single))


def _summary(entries: list[dict], split: str) -> pd.DataFrame:
    """Scores on smoothed PDFs of one split, with their intervals, for people."""
    table = pd.DataFrame(entries).query("split == @split and target == 'smoothed'")
    return pd.DataFrame({
        "w, m/d": table["w"], "model": table["model"], "n": table["n"],
        "BL": _interval(table, "bl_mean", 1, 3), "F, %": _interval(table, "f_mean", 100, 1),
        "valid, %": _interval(table, "valid_percent", 1, 1),
        **({"EMD, km": _interval(table, "emd_km_mean", 1, 0)} if "emd_km_mean" in table else {}),
    })  # fmt: skip


def _interval(table: pd.DataFrame, name: str, scale: float, digits: int) -> list[str]:
    return [
        (f"{scale * middle:.{digits}f}" if np.isfinite(middle) else "–")
        + (f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]" if np.isfinite(low) else "")
        for middle, low, high in table[[name, f"{name}_low", f"{name}_high"]].astype(float).itertuples(index=False)
    ]


def _catchments(report: Report, section: Section, runs, scores) -> None:
    rows = []
    for one in runs:
        found = scores[one.w].sel(target="smoothed")
        distance = np.hypot(found["mass_centre_x"], found["mass_centre_y"]).values
        low, middle, high = np.nanpercentile(distance, (10, 50, 90))
        rows.append({"w, m/d": one.w, "experiments": distance.size, "mass centre, km (median)": middle, "10 %": low, "90 %": high,
                     "entropy (median)": float(found["entropy"].median())})  # fmt: skip
        picture = one.run / speed_folder(one.w) / "catchment.png"
        if picture.exists():
            caption = f"Mean catchment and single experiments, w = {one.w:g} m/d."
            section.figures.append((f"catchment_{speed_folder(one.w)}", caption, picture.read_bytes(), "png"))
        else:
            section.missing.append(f"{picture} is absent: the run was not finished; give its command again")
    report.table(section, "catchments", "True catchments at the export level (smoothed PDFs)", pd.DataFrame(rows))


def _examples(report: Report, section: Section, runs, scores, split) -> None:
    for one in runs:
        speed, found = speed_folder(one.w), scores[one.w].sel(target="smoothed")
        names = [name for name in found["model"].values.tolist() if name != "box100"]
        chosen = np.flatnonzero((found["split"] == split).values & np.isfinite(found["bl"].sel(model=names[-1]).values))
        if chosen.size == 0:
            section.missing.append(f"no experiment at {one.w:g} m/d has particles at the export level")
            continue
        ranked = chosen[np.argsort(found["bl"].sel(model=names[-1]).values[chosen], kind="stable")]
        picked = [int(ranked[round(share * (ranked.size - 1))]) for share in EXAMPLES]
        maps = one.maps
        predictions = {name: np.concatenate([_map_of(maps[name], experiment) for experiment in picked]) for name in names}
        truth = np.concatenate([smooth_pdf(true_pdfs(one.store, one.level, slice(k, k + 1))) for k in picked])
        titles = [f"{str(one.store['collection_start'].values[k])[:10]}, trap {int(one.store['position'][k])}" for k in picked]
        caption = f"At the 10th, 50th, 90th percentile of {names[-1]}'s BL (the paper's Figure 2), w = {one.w:g} m/d"
        figure = figure_2(one.store["x"].values, one.store["y"].values, truth, predictions, titles)
        report.figure(section, f"figure_2_{speed}", caption, figure)
        if one.predictions:
            caption = f"True and predicted distance of the mass centre and entropy (the paper's Figure A2), w = {one.w:g} m/d."
            true, predicted = one.shapes(found, chosen)
            report.figure(section, f"figure_a2_{speed}", caption, figure_a2(true, predicted))
        try:
            caption = f"The traps, and where the particles of one experiment crossed each level (Figure 1), w = {one.w:g} m/d."
            report.figure(section, f"figure_1_{speed}", caption, figure_1(one.run, one.w, picked[1]))
            film = report.folder / "figures" / f"experiment_{speed}.gif"
            animate_experiment(one.run, one.w, picked[1], film)
            caption = f"The same experiment, backward in time, w = {one.w:g} m/d."
            section.figures.append((film.stem, caption, film.read_bytes(), "gif"))
        except CatchmentError as error:
            section.missing.append(str(error))


def _map_of(prediction, experiment: int) -> np.ndarray:
    """(1, y, x) map of one experiment."""
    return prediction(slice(experiment, experiment + 1)) if callable(prediction) else prediction[None]


def _calibration(report: Report, section: Section, runs, scores, split) -> None:
    rows = []
    for one in runs:
        if not one.predictions:
            section.missing.append(f"no predictions at {one.w:g} m/d to calibrate")
            continue
        held = {name: one.calibration(name, split) for name in one.predictions}
        found = scores[one.w]
        chosen = (found["split"] == split).values
        spread = {
            name: (found[f"spread_{name}"].values[chosen], found["bl"].sel(model=name, target="smoothed").values[chosen])
            for name in one.predictions
        }
        for name, values in held.items():
            rows.extend({"w, m/d": one.w, "model": name, "contour, %": 100 * share, "true particles within, %": 100 * value}
                        for share, value in zip(SHARES, values, strict=True))  # fmt: skip
        caption = f"Do contours hold what they say (left), and does the spread tell bad predictions (right)? w = {one.w:g} m/d."
        figure = figure_calibration(SHARES, held, spread, one.w)
        report.figure(section, f"calibration_{speed_folder(one.w)}", caption, figure)
    if rows:
        report.csv("calibration", pd.DataFrame(rows))


def _inputs(report: Report, section: Section, runs, split) -> None:
    one = next((one for one in runs if one.predictions), None)
    parts = parts_of_record(one, split) if one is not None else {}
    if not parts:
        section.missing.append(
            "no part of this record was learnt from, or none held out: with networks trained on this run (python -m "
            f"learning.fit --run {runs[0].run}, then python -m learning.predict) the inputs of both parts are compared"
        )
        return
    resolution = InputSpec.of("sst-ssh").resolution_km
    sets = {label: input_values(one.run, *dates, resolution) for label, dates in parts.items()}
    section.text.extend(f"{label}: {first!s:.10} to {last!s:.10}." for label, (first, last) in parts.items())
    caption = (
        "Distributions of the surface inputs (the paper's Figure A1), SSH and temperature at the effective resolution of "
        f"satellite maps ({resolution['ssh']:g} and {resolution['temp']:g} km)."
    )
    report.figure(section, "figure_a1", caption, figure_a1(sets))


def _resolution(report: Report, section: Section, runs, split, config: ReportConfig) -> None:
    if config.resolution_experiments < 1:
        section.missing.append("left out: --resolution-experiments 0")
        return
    for one in runs:
        models = models_folder(one.run, one.w, "sst-ssh")
        if not any(models.glob("member-*.safetensors")) or "sst-ssh" not in one.predictions:
            section.missing.append(
                f"no networks for sst-ssh in {models}: python -m learning.fit --run {one.run} --inputs sst-ssh, then "
                "python -m learning.predict"
            )
            continue
        table = resolution_scores(one, models, split, limit=config.resolution_experiments, seed=config.seed)
        report.table(section, f"resolution_{speed_folder(one.w)}", f"Degraded inputs, w = {one.w:g} m/d", table)
        caption = f"Valid predictions against the effective resolution of the inputs (the paper's Figure 3), w = {one.w:g} m/d."
        report.figure(
            section, f"figure_3_{speed_folder(one.w)}", caption, figure_3(table, one.w, Ensemble.load(models).spec.resolution_km)
        )


def _deep(report: Report, section: Section, runs, scores, split, correlations: list[dict]) -> None:
    section.text.append(
        "BL at the export level against what happened at depth: entropy and mass centre of the true PDF at 1000 m (the paper's "
        "Figure 5), kinetic energy and relative vorticity between 1000 and 3000 m around the trap (Figure 6), and their profiles "
        "(Figure B1). In the paper BL is larger, so predictions are worse, where the mass centre at 1000 m is far and the deep "
        "kinetic energy strong."
    )
    for one in runs:
        found, speed, title = scores[one.w], speed_folder(one.w), f"w = {one.w:g} m d⁻¹"
        chosen = (found["split"] == split).values
        bl = {name: found["bl"].sel(model=name, target="smoothed").values[chosen] for name in found["model"].values.tolist()}
        bl = {name: values for name, values in bl.items() if not name.startswith("box")} or bl
        quantities = {}
        try:
            entropy, distance = one.shape_at(DEEP_LEVEL)
            caption = f"BL by entropy and mass centre of the true PDF at {DEEP_LEVEL:g} m, w = {one.w:g} m/d."
            report.figure(section, f"figure_5_{speed}", caption, figure_5(entropy[chosen], distance[chosen], bl, title=title))
            quantities |= {f"mass centre at {DEEP_LEVEL:g} m": distance, f"entropy at {DEEP_LEVEL:g} m": entropy}
        except CatchmentError as error:
            section.missing.append(str(error))
        try:
            deep = deep_dynamics(one.run, one.w)
            vorticity, ke = deep["vorticity_over_f"].values, deep["ke"].values
            caption = f"BL by vorticity and kinetic energy between 1000 and 3000 m, w = {one.w:g} m/d."
            report.figure(section, f"figure_6_{speed}", caption, figure_6(vorticity[chosen], ke[chosen], bl, title=title))
            quantities |= {"KE, 1000–3000 m": ke, "|ζ/f|, 1000–3000 m": np.abs(vorticity)}
        except CatchmentError as error:
            if str(error) not in section.missing:
                section.missing.append(str(error))
        correlations.extend(relations(found, one.w, split, quantities))
    if correlations:
        caption = (
            "Correlation of BL (smoothed) with what happened at depth, and 95 % intervals (positive: the larger, the worse; "
            "split every: all experiments, for models that have learnt nothing)"
        )
        section.text.extend(_verdicts(correlations, split))
        report.csv("correlations", pd.DataFrame(correlations))
        section.tables.append((caption, _correlation_table(correlations)))
    figure = figure_b1(profiles(open_dynamics(runs[0].run)))
    report.figure(section, "figure_b1", "Kinetic energy and spread of vorticity around the traps, by depth.", figure)


def _correlation_table(entries: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(entries)
    return pd.DataFrame({
        "w, m/d": table["w"], "model": table["model"], "split": table["split"], "BL against": table["quantity"], "n": table["n"],
        "blocks": table["blocks"], "Pearson": _interval(table, "pearson", 1, 2), "Spearman": _interval(table, "spearman", 1, 2),
    })  # fmt: skip


def _verdicts(entries: list[dict], split: str) -> list[str]:
    """Whether BL of the best informed model worsens with each quantity, in words."""
    lines = []
    for w in sorted({entry["w"] for entry in entries}):
        ours = [entry for entry in entries if entry["w"] == w and entry["split"] == split and entry["pearson"] is not None]
        words = []
        for entry in (one for one in ours if one["model"] == ours[-1]["model"]):
            low, high = entry["pearson_low"], entry["pearson_high"]
            certain = low is not None and (low > 0 or high < 0)
            way = "worsens" if entry["pearson"] > 0 else "improves"
            words.append(
                f"{way} with {entry['quantity']} (r = {entry['pearson']:.2f}{'' if certain else ', 0 within the interval'})"
            )
        if words:
            lines.append(
                f"At {w:g} m/d BL of {ours[-1]['model']} ({ours[-1]['n']} experiments, split {split}) {', '.join(words)}."
            )
    return lines


def _run(section: Section, run: dict) -> None:
    if not run:
        section.missing.append("run.json is absent")
        return
    result = run.get("result", {})
    for speed, ends in result.get("particles", {}).items():
        section.text.append(
            f"{speed}: " + ", ".join(f"{count} {STATUS_MEANINGS.get(kind, kind)}" for kind, count in ends.items())
        )
    section.text.extend(f"Assumed: {text}." for text in run.get("ocean", {}).get("assumptions", ()))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; height: auto; } figure { margin: 1.5rem 0; } figcaption { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; } caption { text-align: left; color: #555; }
td, th { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
.missing { background: #fff4e0; padding: 0.4rem 0.8rem; border-left: 4px solid #E69F00; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 0.8rem; }
</style></head><body>
<h1>{{ title }}</h1>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for line in section.text %}<p>{{ line }}</p>{% endfor %}
{% for line in section.missing %}<p class="missing">{{ line }}</p>{% endfor %}
{% for caption, table in section.tables %}
<table><caption>{{ caption }}</caption>
<tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows(table) %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>{% endfor %}
</table>
{% endfor %}
{% for name, caption, data, kind in section.figures %}
<figure><img alt="{{ caption }}" id="{{ name }}" src="data:image/{{ kind }};base64,{{ image(data) }}">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
{% endfor %}
<h2>Configuration</h2><pre>{{ about }}</pre>
</body></html>
"""


if __name__ == "__main__":
    sys.exit(run_command(ReportConfig, main, prog="evaluation.report"))
