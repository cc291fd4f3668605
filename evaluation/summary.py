"""The report's first screen: question, results and missing parts, for a reader who has not read the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.experiments import BASELINES
from evaluation.intervals import BLOCK_DAYS, ENOUGH_BLOCKS
from evaluation.paper import CITATION, DOI, found_by_the_paper
from evaluation.results import Scored
from lagrangian.binning import VALID_BL

#: Words of the page and their meanings.
WORDS = {
    "catchment": "where the particles that a trap caught crossed the export level: a probability for each bin of 8 km",
    "experiment": "the particles of one collection period at one position of the trap",
    "BL": "Bhattacharyya loss, 1 − Σ√(PQ): 0 where prediction and truth are equal, 1 where they do not overlap",
    "valid": f"a prediction with BL below {VALID_BL:g}",
    "F": "overlap, Σ min(P, Q): the share of the true particles that the prediction holds",
    "box100, box200": "a square of 96 or 192 km around the trap, each bin as likely as the other: the custom",
    "climatology": "the mean catchment of the training experiments, the same for every date",
    "climatology-root": "the one catchment, the same for every date, of least expected BL: the best guess without any map",
    "sst-ssh, 5v-1l, 5v-4l": "networks of the paper's kind, from maps to the catchment; named by what they are given",
    "velocity-…": "networks that predict the flow below the surface, in which particles are then computed; -root: another mean "
                  "of the members, of less BL and with contours that hold less",
    "spread": "how far the members of a prediction are from each other",
    "split": "which part of the record: train was learnt from, validation chose, test was seen by no choice",
    "95 % interval": "from blocks of 60 days drawn with replacement, because neighbouring days share their eddies",
}  # fmt: skip


def first_screen(runs: list[Scored], ocean: str, run: dict, missing: int) -> list[tuple[str, str]]:
    """(what, sentence) pairs.

    Parameters
    ----------
    runs : list of Scored
        A sinking speed each.
    ocean : str
        What the ocean is called.
    run : dict
        run.json.
    missing : int
        How many things the page lacks.
    """
    options = run.get("configuration", {})
    starts = runs[0].found["collection_start"].values
    levels = " and ".join(f"{level:g} m" for level in sorted({run.speed.export_m for run in runs}))
    speeds = _listed([f"{run.w:g}" for run in runs])
    depth = options.get("trap_depth")
    trap = f"a trap at {options.get('site', 'a site')}" + (f", {depth:g} m deep" if depth else "")
    periods = np.unique(starts).size
    count = runs[0].found.sizes["experiment"]
    question = (
        f"Where did the particles of {trap} cross {levels} on their way down? They were followed back through "
        f"{ocean or 'an ocean'} at sinking speeds of {speeds} m/d: {count} experiments, {periods} collection periods that begin "
        f"{starts.min():.10} to {starts.max():.10}."
    )
    rows = [("Asked", question), ("A catchment", WORDS["catchment"] + ".")]
    rows += [("Found", sentence) for sentence in map(_found, runs)]
    few = min(entry["blocks"] for run in runs for entry in run.reported)
    if few < ENOUGH_BLOCKS:
        blocks = f"{few} block{'s' * (few != 1)} of {BLOCK_DAYS:g} days"
        rows.append(("Mind", f"The scored time spans {blocks}: too few for intervals that can be trusted."))
    lacks = f"{missing} thing{'s' * (missing != 1)}, each told in its section with what would add it."
    rows.append(("Missing", lacks if missing else "Nothing that the page knows of."))
    paper = (
        f"{CITATION}, doi:{DOI}. Its values, read off its Figure 4, stand in round brackets in the table below; its ocean is a "
        "CROCO simulation at 2 km around PAP-SO."
    )
    return [*rows, ("The paper", paper)]


def _found(one: Scored) -> str:
    """A sentence on the model that is valid most often at a speed, and on its gain over the best box or climatology."""
    entries = {entry["model"]: entry for entry in one.reported}
    best = max(entries.values(), key=lambda entry: (entry["valid_percent"], -entry["bl_mean"]))
    names = dict.fromkeys(name for name in ("box200", *BASELINES) if name in entries and name != best["model"])
    beside = _listed([f"{name} for {_percent(entries[name])}" for name in names])
    sentence = f"At {one.w:g} m/d {best['model']} is valid most often, for {_percent(best)} of {best['n']} catchments"
    sentence += f" of the {one.split} split" + (f"; {beside}." if beside else ".")
    gain, low, high = (best.get(f"bl_less_baseline{end}") for end in ("", "_low", "_high"))
    if gain is not None and np.isfinite(gain):
        interval = f" [{low:.3f}, {high:.3f}]" if low is not None and np.isfinite(low) else ""
        sentence += f" Its BL less that of {best['baseline']}, the best of the simple models: {gain:.3f}{interval}."
    return sentence


def _percent(entry: dict) -> str:
    text = f"{entry['valid_percent']:.0f}"
    low, high = entry.get("valid_percent_low"), entry.get("valid_percent_high")
    if low is not None and np.isfinite(low):
        text += f" [{low:.0f}, {high:.0f}]"
    return text + " %"


def _listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + (words[-1] if words else "")


def main_table(runs: list[Scored]) -> pd.DataFrame:
    """A row a model, two columns a speed: valid % and F %, with intervals; the paper's values in brackets."""
    models = list(dict.fromkeys(name for run in runs for name in run.models))
    rows = []
    for model in models:
        row = {"model": model}
        for scored in runs:
            entry = next((entry for entry in scored.reported if entry["model"] == model), None)
            paper = found_by_the_paper(model, scored.w)
            for label, value, place in (("valid, %", "valid_percent", 0), ("F, %", "f_mean", 1)):
                text = "–"
                if entry is not None:
                    text = _percent(entry)[:-2] if place == 0 else f"{100 * entry[value]:.0f}"
                row[f"{scored.w:g} m/d: {label}"] = text + (f" ({paper[place]:g})" if paper else "")
        rows.append(row)
    return pd.DataFrame(rows)
