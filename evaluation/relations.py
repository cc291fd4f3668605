"""Does BL worsen with what happened at depth, or with the spread of the networks? Correlations over experiments, with intervals.

Paper section 3, Figs. 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.intervals import block_bootstrap_correlation, block_of
from evaluation.results import Scored, with_interval

#: Models that have learnt nothing from the run: they may be looked at over all experiments.
UNTRAINED = ("box100", "box200")


def relations(scored: Scored, quantities: Mapping[str, np.ndarray], *, seed: int = 0) -> list[dict]:
    """Correlations of BL (smoothed target) with some quantities: entries of metrics.json.

    Every model is looked at over the reported split, the boxes over all experiments as well (``every``).

    Parameters
    ----------
    quantities : mapping of name to (experiment,)
        NaN where not known.
    seed : int, keyword-only
        Of the intervals.

    Returns
    -------
    list of dict
        ``w``, ``model``, ``split``, ``quantity``, ``n``, ``blocks`` (of 60 days), ``pearson``, ``spearman`` and their 95 %
        intervals ``..._low``, ``..._high``; None where there are too few.
    """
    bl = {name: scored.found["bl"].sel(model=name, target="smoothed").values for name in scored.found["model"].values.tolist()}
    entries = [
        correlation_entry(scored, model, scored.split, name, values, bl[model], scored.chosen, seed)
        for model in bl
        for name, values in quantities.items()
    ]
    if scored.split != "all":
        every = np.ones_like(scored.chosen)
        entries += [
            correlation_entry(scored, model, "every", name, values, bl[model], every, seed)
            for model in UNTRAINED
            for name, values in quantities.items()
        ]
    return entries


def spread_relations(scored: Scored, *, seed: int = 0) -> list[dict]:
    """Correlations of a network's BL with the spread of its ensemble over the reported split: entries as of :func:`relations`.

    None where the spread does not vary, as that of one member.
    """
    return [
        correlation_entry(scored, name, scored.split, "ensemble spread", scored.found[f"spread_{name}"].values,
                          scored.of_model("bl", name), scored.chosen, seed)
        for name in scored.speed.predictions
    ]  # fmt: skip


def correlation_entry(scored: Scored, model: str, split: str, quantity: str, x, y, chosen: np.ndarray, seed: int) -> dict:
    """Pearson's and Spearman's correlation of ``x`` and ``y`` (experiment,) over the chosen experiments."""
    block = block_of(scored.found["collection_start"].values[chosen])
    finite = np.isfinite(x[chosen]) & np.isfinite(y[chosen])
    entry = {"w": scored.w, "model": model, "split": split, "quantity": quantity, "n": int(finite.sum()),
             "blocks": int(np.unique(block[finite]).size)}  # fmt: skip
    for how, ranks in (("pearson", False), ("spearman", True)):
        *numbers, _ = block_bootstrap_correlation(x[chosen], y[chosen], block, ranks=ranks, seed=seed)
        entry |= with_interval(how, *numbers)
    return entry
