"""Flux in a trap against chlorophyll in its catchment some time before (paper Appendix C; method.md section 5): the arrays.

One lag is one set of windows. Chlorophyll is averaged over a cup's window (C), predicted PDFs over theirs (P), and the
catchment's chlorophyll is sum(C P) / sum(P) over the cells with data. Both sums are linear in P, so that one product of
matrices holds them for every cup and every prediction, and predictions at other dates cost no more than a look-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd
from scipy.special import stdtr

from data.times import timedelta_days
from evaluation.intervals import DRAWS, LEVEL, block_of, correlation_of_sums, draw_blocks
from evaluation.options import CORRELATION_BLOCK_DAYS as BLOCK_DAYS
from lagrangian.config import SINKING_SPEEDS
from lagrangian.design import TRAP_DEPTH
from lagrangian.pdf import EXPORT_M

#: The paper's ascent, from the trap at 3000 m to 200 m.
PAPER_ASCENT_M = TRAP_DEPTH - EXPORT_M
#: Lags below which particles are taken to sink so fast over that ascent: (days, m/d); the slowest beyond the last (Appendix C).
SLOWEST, *FASTER = SINKING_SPEEDS
SPEED_OF_LAG = tuple(zip((12.0, 18.0, 25.0, 34.0), reversed(FASTER), strict=True))
#: Days by which the window of chlorophyll is wider than the cup's, on either side.
MARGIN_DAYS = 5.0
#: A cup is left out where more of its catchment than this is under cloud.
CLOUDED = 0.99
#: Fewer cups than this give no R².
ENOUGH_CUPS = 3
#: Percentiles of the random catchments' R².
ENVELOPE = (10.0, 90.0)


def sinking_speed(lag: float, ascent: float = PAPER_ASCENT_M) -> float:
    """w(lag), m/d, of a lag in days: 300 below 12 days, 200 below 18, 150 below 25, 100 below 34, else 80.

    For another ``ascent`` from trap to export depth (m) than the paper's 2800 m the limits are in proportion to it.
    """
    share = ascent / PAPER_ASCENT_M
    return next((speed for limit, speed in SPEED_OF_LAG if lag < limit * share), SLOWEST)


def nearest_speed(wanted: float, given: Iterable[float]) -> float:
    """The nearest of the ``given`` speeds to the ``wanted`` speed, m/d; of two equally near speeds, the slower."""
    return min(given, key=lambda speed: (abs(speed - wanted), speed))


def lag_grid(first: float, last: float, step: float) -> np.ndarray:
    """(lag,) days from ``first`` by ``step``, the last not beyond ``last``."""
    return first + step * np.arange(int(np.floor((last - first) / step + 1e-9)) + 1)


@dataclass(frozen=True, eq=False)
class DailyMaps:
    """Maps as running sums over time, so that the mean over any window is a difference of two.

    Attributes
    ----------
    days : (time,) datetime64[D]
        Calendar days of the maps, of composites the first ones, ascending; a day may occur twice.
    length : (time,) int
        Days that each map stands for: 1 of daily maps.
    total : (time + 1, cell) float64
        Sum of the known values of all days before.
    count : (time + 1, cell) unsigned
        How many days those are.
    """

    days: np.ndarray
    length: np.ndarray
    total: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, batches: Iterable[np.ndarray], cells: int, length: np.ndarray | None = None) -> DailyMaps:
        """Running sums of maps (time, cell), NaN where unknown, that come in batches of times.

        ``length`` (time,): days that each map stands for, from the calendar day of its time on (default: that day alone).

        Raises
        ------
        ValueError
            The batches hold another number of maps than there are times.
        """
        n = len(times)
        length = np.ones(n, np.int64) if length is None else np.asarray(length, np.int64)
        total = np.zeros((n + 1, cells))
        count = np.zeros((n + 1, cells), np.uint16 if length.sum() < 2**16 else np.uint32)
        filled = 0
        for batch in batches:
            part = slice(filled + 1, filled + 1 + len(batch))
            clear, days = np.isfinite(batch), length[filled : filled + len(batch), None]
            values = np.where(clear, batch, 0.0)
            if (days != 1).any():
                values = values.astype(np.float64) * days
            np.cumsum(values, axis=0, dtype=np.float64, out=total[part])
            np.cumsum(clear * days.astype(count.dtype), axis=0, dtype=count.dtype, out=count[part])
            total[part] += total[filled]
            count[part] += count[filled]
            filled += len(batch)
        if filled != n:
            raise ValueError(f"{filled} maps for {n} times")
        return cls(np.asarray(times).astype("datetime64[D]"), length, total, count)

    def mean(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """(window, cell) float64 mean of the maps from ``first`` to ``last``, both included; NaN where none is known.

        first, last : (window,) datetime64. A map counts for its calendar day's beginning, whatever hour it is dated at; a
        composite for each of its days in the window.
        """
        begin, end = np.searchsorted(self.days, first, "left"), np.searchsorted(self.days, last, "right")
        end = np.maximum(begin, end)
        if (self.length == 1).all():
            total, count = self.total[end] - self.total[begin], self.count[end] - self.count[begin]
        else:
            # days of the last map begun that lie before the window, and in it
            before = np.ceil((first - self.days[np.maximum(begin - 1, 0)]) / np.timedelta64(1, "D"))
            inside = np.floor((last - self.days[np.maximum(end - 1, 0)]) / np.timedelta64(1, "D")) + 1
            total, count = (
                self._until(sums, end, inside) - self._until(sums, begin, before) for sums in (self.total, self.count)
            )
            count = np.round(count)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0, total / count, np.nan)

    def _until(self, sums: np.ndarray, number: np.ndarray, days: np.ndarray) -> np.ndarray:
        """(window, cell) sum over the first ``number`` maps, of the last of which ``days`` count."""
        last = np.maximum(number - 1, 0)
        left = np.where(number > 0, 1 - np.clip(days / self.length[last], 0, 1), 0.0)[:, None]
        return sums[number] - left * (sums[number].astype(np.float64) - sums[last])


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted catchments of one sinking speed.

    Attributes
    ----------
    speed : float
        m/d.
    times : (time,) datetime64[s]
        Mean arrival at the export depth, ascending.
    pdf : (time, cell) float
    """

    speed: float
    times: np.ndarray
    pdf: np.ndarray

    @property
    def interval(self) -> np.timedelta64:
        """Median time between predictions; 0 where there is only one."""
        seconds = np.diff(self.times).astype("timedelta64[s]").astype(np.int64)
        return np.timedelta64(round(float(np.median(seconds))) if seconds.size else 0, "s")

    def runs(self, first: np.ndarray, last: np.ndarray, *, strict: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The predictions dated from ``first`` to ``last``, both included, as (begin, length), each (window,) int.

        Where there is none, the nearest one no farther than half the interval from the window (the earlier of two); where there
        is none so near, or ``strict`` is asked for, the length is 0.
        """
        begin, end = np.searchsorted(self.times, first, "left"), np.searchsorted(self.times, last, "right")
        length = np.maximum(end - begin, 0)
        n, far = len(self.times), np.timedelta64(10**10, "s")
        before = np.where(begin > 0, first - self.times[np.maximum(begin - 1, 0)], far)
        after = np.where(begin < n, self.times[np.minimum(begin, n - 1)] - last, far)
        nearest = np.where(before <= after, begin - 1, begin)
        none = length == 0
        begin = np.where(none, np.clip(nearest, 0, n - 1), begin)
        near = np.minimum(before, after) * 2 <= self.interval
        return begin, np.where(none, near.astype(int) * (not strict), length)


def mean_of_sums(product: np.ndarray, seen: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Chlorophyll weighed by a catchment: sum(C P) / sum(P) over the cells with data; ``whole`` is sum(P) over all cells.

    NaN of an empty catchment, and where more than :data:`CLOUDED` of the catchment is under cloud.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((whole > 0) & (seen >= (1 - CLOUDED) * whole), product / seen, np.nan)


@dataclass(frozen=True, eq=False)
class WeightedSums:
    """sum(C P), sum(P) over the cells with data, and sum(P), as running sums over predictions.

    Attributes
    ----------
    product, seen : (cup, time + 1) float64
    whole : (time + 1,) float64
    """

    product: np.ndarray
    seen: np.ndarray
    whole: np.ndarray

    @classmethod
    def of(cls, chlorophyll: np.ndarray, pdf: np.ndarray) -> WeightedSums:
        """chlorophyll: (cup, cell), NaN under cloud; pdf: (time, cell)."""
        return next(cls.each(chlorophyll, [pdf]))

    @classmethod
    def each(cls, chlorophyll: np.ndarray, pdfs: Iterable[np.ndarray]) -> Iterator[WeightedSums]:
        """:meth:`of` the same chlorophyll and one PDF (time, cell) after the other."""
        clear = np.isfinite(chlorophyll)
        known = np.where(clear, chlorophyll, 0.0)
        # of gap-free products every cup sees the same cells: one row stands for all
        seen = (clear[:1] if (clear == clear[:1]).all() else clear).astype(np.float64)
        for pdf in pdfs:
            pdf = np.asarray(pdf, np.float64)
            sums = known @ pdf.T, np.broadcast_to(seen @ pdf.T, (len(known), len(pdf))), pdf.sum(1)
            yield cls(*(np.pad(part.cumsum(axis=-1), [(0, 0)] * (part.ndim - 1) + [(1, 0)]) for part in sums))

    def chlorophyll(self, begin: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Chlorophyll of catchments that are the mean of ``length`` predictions from number ``begin``, each (..., cup).

        NaN where there is no prediction, and where more than 99 % of the catchment is under cloud.
        """
        cup, end = np.arange(len(self.product)), begin + length
        product, seen = (running[cup, end] - running[cup, begin] for running in (self.product, self.seen))
        whole = self.whole[end] - self.whole[begin]
        return np.where(length > 0, mean_of_sums(product, seen, whole), np.nan)


@dataclass(frozen=True, eq=False)
class LaggedChlorophyll:
    """Chlorophyll that cups are compared with, mg m-3; NaN where a cup has none.

    Attributes
    ----------
    lags : (lag,) days
    speeds : (lag,) m/d
        Of the predictions used.
    series : mapping of name to (lag, cup)
        "catchment", and each box.
    random : (draw, lag, cup)
        Of catchments predicted for other dates.
    clouded : (lag, cup) bool
        Cups that have predictions, and more than 99 % of their catchment under cloud.
    nearest : (lag, cup) bool
        Cups into whose window no prediction falls, and that are given the nearest one.
    """

    lags: np.ndarray
    speeds: np.ndarray
    series: dict[str, np.ndarray]
    random: np.ndarray
    clouded: np.ndarray
    nearest: np.ndarray | None = None


def lagged_chlorophyll(
    opening: np.ndarray,
    closing: np.ndarray,
    lags: Sequence[float] | np.ndarray,
    maps: DailyMaps,
    predictions: Mapping[float, Predictions],
    boxes: Mapping[str, np.ndarray],
    *,
    draws: int = 100,
    seed: int = 0,
    strict: bool = False,
    ascent: float = PAPER_ASCENT_M,
    progress=None,
) -> LaggedChlorophyll:
    """Chlorophyll in catchments, boxes and random catchments, by lag and cup (paper Appendix C).

    A random catchment is as smooth as the cup's own: the mean of as many predictions of the same speed, one after another, from a
    random date on, every date being as likely. The chlorophyll is the cup's. The random numbers are one per draw and cup, the
    same at every lag, so that what is found at a lag does not depend on which others are asked for. Cups are drawn independently:
    where predictions stay alike for longer than a cup, series of true ones scatter more than these, and the envelope is too
    narrow; the intervals of :class:`BlockBootstrap` are of blocks of time and do not suffer from that.

    Parameters
    ----------
    opening, closing : (cup,) datetime64
    lags : (lag,) days
    maps : DailyMaps
        Of chlorophyll, mg m-3.
    predictions : mapping of speed (m/d) to Predictions
        The nearest speed stands in for one that is not there.
    boxes : mapping of name to (cell,)
    draws, seed : int, keyword-only
    strict : bool, keyword-only
        Leave a cup out where no prediction falls into its window (the paper's words), instead of taking the nearest one within
        half the interval between predictions.
    ascent : float, keyword-only
        From trap to export depth, m: which speed a lag stands for (:func:`sinking_speed`).
    progress : callable, keyword-only
        Called with (lags done, lags).
    """
    opening, closing = (np.asarray(moments).astype("datetime64[s]") for moments in (opening, closing))
    lag_days = np.asarray(lags, np.float64)
    uniform = np.random.default_rng(seed).random((draws, opening.size))
    shape = (lag_days.size, opening.size)
    series = {name: np.empty(shape) for name in ("catchment", *boxes)}
    random, clouded, speeds = np.empty((draws, *shape)), np.empty(shape, bool), np.empty(lag_days.size)
    nearest = np.zeros(shape, bool)
    zero, single = np.zeros(opening.size, int), np.ones(opening.size, int)
    # lags of one speed follow each other
    pdfs_of = lru_cache(maxsize=1)(lambda speed: predictions[speed].pdf.astype(np.float64))
    for number, lag in enumerate(lag_days):
        first, last = opening - timedelta_days(lag), closing - timedelta_days(lag)
        mean = maps.mean(first - timedelta_days(MARGIN_DAYS), last + timedelta_days(MARGIN_DAYS))
        speeds[number] = nearest_speed(sinking_speed(lag, ascent), predictions)
        predicted = predictions[speeds[number]]
        begin, length = predicted.runs(first, last, strict=strict)
        nearest[number] = (length > 0) & (predicted.runs(first, last, strict=True)[1] == 0)
        sums, *of_boxes = WeightedSums.each(mean, [pdfs_of(speeds[number]), *(box[None] for box in boxes.values())])
        in_catchment = series["catchment"][number] = sums.chlorophyll(begin, length)
        clouded[number] = (length > 0) & np.isnan(in_catchment)
        start = np.floor(uniform * (len(predicted.times) - length + 1)).astype(int)
        random[:, number] = sums.chlorophyll(np.where(length > 0, start, 0), length)
        for name, of_box in zip(boxes, of_boxes, strict=True):
            series[name][number] = of_box.chlorophyll(zero, single)
        if progress is not None:
            progress(number + 1, lag_days.size)
    return LaggedChlorophyll(lag_days, speeds, series, random, clouded, nearest)


def r_squared(flux: np.ndarray, chlorophyll: np.ndarray) -> np.ndarray:
    """R² of the straight-line fit between flux (cup,) and chlorophyll (..., cup), over the cups that have both.

    The square of Pearson's correlation; NaN for fewer than 3 cups, or where one does not vary.
    """
    flux, chlorophyll = np.broadcast_arrays(np.asarray(flux, np.float64), chlorophyll)
    paired = np.isfinite(flux) & np.isfinite(chlorophyll)
    n = paired.sum(axis=-1)
    x, y = (np.where(paired, side, 0.0) for side in (flux, chlorophyll))
    x, y = (np.where(paired, side - (side.sum(axis=-1) / np.maximum(n, 1))[..., None], 0.0) for side in (x, y))
    xx, yy, xy = (product_of.sum(axis=-1) for product_of in (x * x, y * y, x * y))
    # what rounding leaves of something that does not vary is not variance
    varies = (xx > 1e-24 * _square(flux, paired)) & (yy > 1e-24 * _square(chlorophyll, paired)) & (n >= ENOUGH_CUPS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, np.minimum(xy * xy / (xx * yy), 1.0), np.nan)


def _square(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return (np.where(known, values, 0.0) ** 2).sum(axis=-1)


def effective_number(flux: np.ndarray, chlorophyll: np.ndarray) -> float:
    """How many independent pairs the correlated ones (cup,), in order of time, are worth: N (1 - r1 r2) / (1 + r1 r2).

    r1, r2: correlation of each series with itself one cup later, gaps passed over (Bretherton et al. 1999,
    doi:10.1175/1520-0442(1999)012<1990:TENOSD>2.0.CO;2, their equation 30). No more than N; NaN for fewer than 3 pairs.
    """
    paired = np.isfinite(flux) & np.isfinite(chlorophyll)
    n = int(paired.sum())
    if n < ENOUGH_CUPS:
        return float("nan")
    product = 1.0
    for side in (flux[paired], chlorophyll[paired]):
        side = side - side.mean()
        square = (side * side).sum()
        product *= (side[1:] * side[:-1]).sum() / square if square > 0 else 0.0
    return float(min(n, n * (1 - product) / (1 + product)))


def p_value(r2: float, n: float) -> float:
    """Chance of so large an R² of n independent pairs of unrelated normal quantities (Student's t); NaN for n of 2 or less."""
    if not (np.isfinite(r2) and n > 2):
        return float("nan")
    return float(2 * stdtr(n - 2, -np.sqrt(r2 * (n - 2) / max(1 - r2, 1e-300))))


class BlockBootstrap:
    """Intervals of R², and of differences of two R², from resampling blocks that hold pairs, drawn with replacement.

    Parameters
    ----------
    opening : (cup,) datetime64
    days : float
        Length of a block.
    draws, level, seed
        Number of resamples, coverage, seed; the same resamples serve every series of as many blocks.
    """

    def __init__(self, opening, *, days: float = BLOCK_DAYS, draws: int = DRAWS, level: float = LEVEL, seed: int = 0):
        self._number = block_of(opening, days)
        self._weights = cache(lambda blocks: draw_blocks(blocks, draws, seed))
        self._tails = [(1 - level) / 2, (1 + level) / 2]

    def blocks(self, flux, chlorophyll) -> int:
        """How many blocks hold a cup that has both of two series (cup,)."""
        return int(np.unique(self._number[np.isfinite(flux) & np.isfinite(chlorophyll)]).size)

    def r_squared(self, flux, chlorophyll) -> tuple[float, float]:
        """Interval of the R² of two series (cup,); NaN where fewer than two blocks hold cups with both."""
        return self._interval(self._resampled(flux, chlorophyll))

    def difference(self, flux, chlorophyll, other) -> tuple[float, float, float]:
        """R² of ``chlorophyll`` less that of ``other``, and its interval, over the cups that have both."""
        common = np.where(np.isfinite(chlorophyll) & np.isfinite(other), flux, np.nan)
        middle = float(r_squared(common, chlorophyll) - r_squared(common, other))
        return middle, *self._interval(self._resampled(common, chlorophyll) - self._resampled(common, other))

    def _resampled(self, flux, chlorophyll) -> np.ndarray:
        paired = np.isfinite(flux) & np.isfinite(chlorophyll)
        names, number = np.unique(self._number[paired], return_inverse=True)
        if paired.sum() < ENOUGH_CUPS or names.size < 2:
            return np.full(1, np.nan)
        x, y = (side[paired] - side[paired].mean() for side in (flux, chlorophyll))
        sums = np.stack([np.bincount(number, summand, names.size) for summand in (np.ones(x.size), x, y, x * x, y * y, x * y)])
        return correlation_of_sums(sums @ self._weights(names.size).T) ** 2

    def _interval(self, values) -> tuple[float, float]:
        values = values[np.isfinite(values)]
        if not values.size:
            return float("nan"), float("nan")
        low, high = np.quantile(values, self._tails)
        return float(low), float(high)


def enough_cups(n: np.ndarray) -> np.ndarray:
    """Whether each lag (..., lag) may be called the best: a lag needs at least half of the largest number ``n`` of cups."""
    return 2 * n >= np.max(n, axis=-1, keepdims=True, initial=0)


def best_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The row with the largest R² of each variable, period and catchment of a :func:`score_table`, among lags with
    :func:`enough_cups`; none where no R² is known."""
    groups = ["variable", "period", "catchment"]
    enough = table.groupby(groups, sort=False)["n"].transform(lambda n: enough_cups(n.to_numpy()))
    scored = table[enough.astype(bool) & np.isfinite(table["r2"])]
    return scored.loc[scored.groupby(groups, sort=False)["r2"].idxmax()]


def with_best_gains(
    best: pd.DataFrame,
    chlorophyll: LaggedChlorophyll,
    fluxes: Mapping[str, np.ndarray],
    opening: np.ndarray,
    periods: Mapping[str, np.ndarray],
    *,
    block_days: float = BLOCK_DAYS,
    seed: int = 0,
) -> pd.DataFrame:
    """:func:`best_rows` with gains of best over best.

    ``gain`` of a box: R² of the catchment at the catchment's best lag, less R² of the box at the box's best lag, both over the
    cups that have flux, catchment and box at these lags, so that the two are of the same cups; ``gain_low``, ``gain_high`` its
    interval. NaN in the catchment's own rows. (In a :func:`score_table` the gain is of one lag.)
    """
    best = best.copy()
    names = ["gain", "gain_low", "gain_high"]
    lag_of = {(row.variable, row.period, row.catchment): row.lag for row in best.itertuples()}
    number = {lag: place for place, lag in enumerate(chlorophyll.lags.tolist())}
    for index, row in best.iterrows():
        own_lag = lag_of.get((row["variable"], row["period"], "catchment"))
        gain: tuple = (np.nan,) * 3
        if row["catchment"] != "catchment" and own_lag is not None:
            cups = periods[row["period"]]
            own_chlorophyll = chlorophyll.series["catchment"][number[own_lag], cups]
            box = chlorophyll.series[row["catchment"]][number[row["lag"]], cups]
            flux = np.asarray(fluxes[row["variable"]], np.float64)[cups]
            gain = BlockBootstrap(opening[cups], days=block_days, seed=seed).difference(flux, own_chlorophyll, box)
        best.loc[index, names] = gain
    return best


def best_of_random(
    chlorophyll: LaggedChlorophyll, fluxes: Mapping[str, np.ndarray], periods: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """The largest R² over all lags that random catchments reach: ``random_best_p90`` by variable and period.

    The 90th percentile, over draws, of the largest R² that one series of random catchments has at any lag with
    :func:`enough_cups`. The envelope of :func:`score_table` is of single lags, and the largest of many is expected to pass it now
    and then by chance.
    """
    rows = []
    for period, cups in periods.items():
        for variable, values in fluxes.items():
            flux, random = np.asarray(values, np.float64)[cups], chlorophyll.random[..., cups]
            r2, n = r_squared(flux, random), (np.isfinite(flux) & np.isfinite(random)).sum(axis=-1)
            largest = np.where(np.isfinite(r2) & enough_cups(n), r2, -1.0).max(axis=1)
            largest = largest[largest >= 0]
            top = float(np.percentile(largest, ENVELOPE[1])) if largest.size else float("nan")
            rows.append({"variable": variable, "period": period, "random_best_p90": top})
    return pd.DataFrame(rows)


def score_table(
    chlorophyll: LaggedChlorophyll,
    fluxes: Mapping[str, np.ndarray],
    opening: np.ndarray,
    periods: Mapping[str, np.ndarray],
    *,
    block_days: float = BLOCK_DAYS,
    seed: int = 0,
) -> pd.DataFrame:
    """R² of every flux with every chlorophyll, by lag and period.

    Parameters
    ----------
    chlorophyll : LaggedChlorophyll
    fluxes : mapping of name to (cup,)
        mg m-2 d-1, NaN where missing.
    opening : (cup,) datetime64, ascending
    periods : mapping of name to (cup,) bool

    Returns
    -------
    DataFrame
        A row for each lag (days), variable, period and catchment ("catchment", then the boxes): ``r2``; ``random_p10`` and
        ``random_p90``, the envelope of the R² of random catchments, the same for the boxes' rows; ``n`` cups;
        ``sinking_speed`` (m/d) of the predictions; ``n_effective`` (:func:`effective_number`) and ``p_value``
        with so many; ``r2_low``, ``r2_high``, 95 % interval from blocks of time, and how many
        ``blocks`` hold its cups; in the boxes' rows ``gain``, R² of the catchment
        less that of the box over the cups that have both, with ``gain_low`` and ``gain_high``.
    """
    rows = []
    for period, cups in periods.items():
        bootstrap = BlockBootstrap(opening[cups], days=block_days, seed=seed)
        for variable, values in fluxes.items():
            flux = np.asarray(values, np.float64)[cups]
            random = r_squared(flux, chlorophyll.random[..., cups])
            for number, lag in enumerate(chlorophyll.lags):
                drawn = random[:, number][np.isfinite(random[:, number])]
                low, high = np.percentile(drawn, ENVELOPE) if drawn.size else (np.nan, np.nan)
                in_catchment = chlorophyll.series["catchment"][number, cups]
                for name, lines in chlorophyll.series.items():
                    chlorophyll_of = lines[number, cups]
                    r2, n_effective = float(r_squared(flux, chlorophyll_of)), effective_number(flux, chlorophyll_of)
                    r2_low, r2_high = bootstrap.r_squared(flux, chlorophyll_of)
                    gain = (np.nan,) * 3 if name == "catchment" else bootstrap.difference(flux, in_catchment, chlorophyll_of)
                    rows.append({
                        "lag": lag, "variable": variable, "period": period, "catchment": name, "r2": r2, "random_p10": low,
                        "random_p90": high, "n": int((np.isfinite(flux) & np.isfinite(chlorophyll_of)).sum()),
                        "sinking_speed": chlorophyll.speeds[number], "n_effective": n_effective,
                        "p_value": p_value(r2, n_effective), "r2_low": r2_low, "r2_high": r2_high,
                        "blocks": bootstrap.blocks(flux, chlorophyll_of),
                        **dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True)),
                    })  # fmt: skip
    return pd.DataFrame(rows)
