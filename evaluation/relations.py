"""Does BL worsen with what happened at depth? Correlations over experiments, with intervals (paper section 3, Figs. 5, 6)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from evaluation.intervals import block_bootstrap_correlation, block_of
from evaluation.results import with_interval

#: Models that have learnt nothing from the run: they may be looked at over all experiments.
UNTRAINED = ("box100", "box200")


def relations(scores: xr.Dataset, w: float, split: str, quantities: Mapping[str, np.ndarray]) -> list[dict]:
    """Correlations of BL (smoothed target) with some quantities: entries of metrics.json.

    Parameters
    ----------
    scores : Dataset
        :meth:`evaluation.results.SpeedRun.score`.
    split : str
        Experiments of which every model is looked at; the boxes are looked at over all experiments as well (``every``).
    quantities : mapping of name to (experiment,)
        NaN where not known.

    Returns
    -------
    list of dict
        ``w``, ``model``, ``split``, ``quantity``, ``n``, ``blocks`` (of 60 days), ``pearson``, ``spearman`` and their 95 %
        intervals ``..._low``, ``..._high``; None where there are too few.
    """
    entries = []
    for kind in (split, "every"):
        chosen = np.ones(scores.sizes["experiment"], bool) if kind == "every" else (scores["split"] == kind).values
        if not chosen.any() or (kind == "every" and split == "all"):
            continue
        block = block_of(scores["collection_start"].values[chosen])
        for model in scores["model"].values.tolist():
            if kind == "every" and model not in UNTRAINED:
                continue
            bl = scores["bl"].sel(model=model, target="smoothed").values[chosen]
            for name, values in quantities.items():
                entry = {"w": w, "model": model, "split": kind, "quantity": name, "n": 0, "blocks": int(np.unique(block).size)}
                for how, ranks in (("pearson", False), ("spearman", True)):
                    *numbers, entry["n"] = block_bootstrap_correlation(values[chosen], bl, block, ranks=ranks)
                    entry |= with_interval(how, *numbers)
                entries.append(entry)
    return entries
