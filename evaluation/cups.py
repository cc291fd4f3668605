"""Cups of the flux record: those of the period, and which fluxes of theirs can be correlated."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.errors import InputError
from data.times import parse_date
from data.trap_flux import COLUMNS
from evaluation.cross_correlation import ENOUGH_CUPS
from evaluation.options import CorrelationConfig

#: The paper's period (section 4), years, first and last.
PAPER_YEARS = (2009, 2019)


def choose_cups(flux: pd.DataFrame, config: CorrelationConfig) -> tuple[pd.DataFrame, dict[str, np.ndarray], list[str]]:
    """Cups of the period, in order, which of them belong to each period by name, and what there is to say.

    Raises
    ------
    OptionError, InputError
        A date cannot be read; no cup is left.
    """
    flux = flux.sort_values(["open", "close"])
    middle = flux["open"] + (flux["close"] - flux["open"]) / 2
    years, notes = middle.dt.year.to_numpy(), []
    start, end = config.start, config.end
    if start is None and end is None:
        first, last = PAPER_YEARS
        present = {int(year) for year in years if first <= year <= last}
        if len(present) > (last - first + 1) / 2:
            start, end = f"{first}-01-01", f"{last}-12-31"
        else:
            notes.append(
                f"{config.flux} has cups in {len(present)} of the years {first} to {last}: all of it is taken (--start, --end)"
            )
    within = np.ones(len(flux), bool)
    if start is not None:
        within &= (middle >= _date("--start", start)).to_numpy()
    if end is not None:
        within &= (middle < _date("--end", end) + pd.Timedelta(days=1)).to_numpy()
    if not within.any():
        raise InputError(
            f"no cup left: {config.flux} holds cups from {day(flux['open'].min())} to {day(flux['close'].max())}, none in the "
            f"period {start or 'from the beginning'} to {end or 'the end'}; change --start, --end"
        )
    excluded = np.isin(years[within], config.exclude_years)
    periods = {"all": np.ones(int(within.sum()), bool)}
    if config.exclude_years:
        listed = ", ".join(map(str, sorted(set(config.exclude_years))))
        if not excluded.any():
            notes.append(f"no cup of the period lies in {listed}: nothing is excluded, one period is scored")
        elif excluded.all():
            notes.append(f"all cups of the period lie in {listed}: one period is scored")
        else:
            periods[f"without {listed}"] = ~excluded
    return flux[within], periods, notes


def _date(option: str, text: str) -> pd.Timestamp:
    return pd.Timestamp(parse_date(text, option).astype("datetime64[D]"))


def day(time) -> str:
    return str(np.datetime64(time, "D"))


def choose_variables(cups: pd.DataFrame, config: CorrelationConfig) -> tuple[list[str], list[str]]:
    """Fluxes that can be correlated, and notes on the fluxes that cannot.

    Raises
    ------
    InputError
        One that was asked for, or every one, has fewer than 3 values in the period.
    """
    counts = {name: int(cups[name].notna().sum()) if name in cups else 0 for name in config.variables or COLUMNS}
    few = [name for name, count in counts.items() if count < ENOUGH_CUPS]
    if few and (config.variables or len(few) == len(counts)):
        raise InputError(
            f"no cup left: {config.flux} has {', '.join(f'{counts[name]} values of {name}' for name in few)} in the period, and "
            f"{ENOUGH_CUPS} are needed; widen --start and --end, or choose other --variables"
        )
    return [name for name in counts if name not in few], [f"{config.flux}: too few values of {name}: left out" for name in few]
