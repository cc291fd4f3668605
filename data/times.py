"""Times: dates that users write, seconds since 1970, the nearest of some instants, gaps between them."""

from __future__ import annotations

import warnings

import numpy as np

from data.errors import OptionError

EPOCH = np.datetime64("1970-01-01T00:00:00", "s")
DAY = np.timedelta64(86400, "s")
#: Attributes of a variable of :func:`whole_seconds`.
SECONDS_ATTRS = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}

#: Dates that datetime64[ns] holds with room for the length of a record.
FIRST_DATE, LAST_DATE = np.datetime64("1700-01-01", "s"), np.datetime64("2250-01-01", "s")
#: An interval between instants that is longer than this many usual (median) ones is a gap.
GAP = 1.5


def parse_date(text: str, option: str) -> np.datetime64:
    """An ISO date as datetime64[s], that of a time zone in UTC; OptionError names the option."""
    try:
        if not text[:1].isdigit():  # NaT, now and today are dates to numpy
            raise ValueError(text)
        with warnings.catch_warnings():  # numpy warns that it keeps no time zones: the instant is the same in UTC
            warnings.filterwarnings("ignore", "no explicit representation of timezones", UserWarning)
            instant = np.datetime64(text, "s")
    except ValueError:
        raise OptionError(f"{option} {text!r} is not a date such as 2005-06-30 (YYYY-MM-DD)") from None
    if not FIRST_DATE <= instant <= LAST_DATE:
        raise OptionError(f"{option} {text}: must lie between {str(FIRST_DATE)[:10]} and {str(LAST_DATE)[:10]}")
    return instant


def timedelta_days(days: float) -> np.timedelta64:
    """Days as a difference of instants, to the second."""
    return np.timedelta64(round(86400 * days), "s")


def seconds(times) -> np.ndarray:
    """datetime64 as seconds since 1970, float64: whole ones exactly from 1824 to 2116, all others to a microsecond."""
    return (np.asarray(times).astype("datetime64[ns]") - EPOCH) / np.timedelta64(1, "s")


def whole_seconds(times) -> np.ndarray:
    """datetime64 as seconds since 1970, int64, as stores hold them."""
    return (np.asarray(times).astype("datetime64[s]") - EPOCH).astype(np.int64)


def gaps(times: np.ndarray) -> np.ndarray:
    """(m,) int: numbers of the instants, of ``times`` (n,) datetime64 ascending, after which a gap follows; see :data:`GAP`."""
    if times.size < 3:
        return np.empty(0, np.int64)
    steps = np.diff(times).astype("timedelta64[ns]").astype(np.int64)
    return np.flatnonzero(steps > GAP * np.median(steps))


def nearest(times: np.ndarray, wanted, *, later: bool = False) -> np.ndarray:
    """Number of the one of ``times`` (n,), ascending instants or numbers, n at least 1, nearest to each of ``wanted`` (any
    shape); of two that are equally near the earlier, or the ``later``."""
    wanted = np.asarray(wanted)
    after = np.clip(np.searchsorted(times, wanted), 0, times.size - 1)
    before = np.maximum(after - 1, 0)
    to_before, to_after = abs(times[before] - wanted), abs(times[after] - wanted)
    return np.where((to_after <= to_before) if later else (to_after < to_before), after, before)
