"""Times as numbers: seconds since 1970."""

from __future__ import annotations

import numpy as np

EPOCH = np.datetime64("1970-01-01T00:00:00", "s")
#: Attributes of a variable of :func:`whole_seconds`.
SECONDS_ATTRS = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}


def seconds(times) -> np.ndarray:
    """datetime64 as seconds since 1970, float64: whole ones exactly from 1824 to 2116, all others to a microsecond."""
    return (np.asarray(times).astype("datetime64[ns]") - EPOCH) / np.timedelta64(1, "s")


def whole_seconds(times) -> np.ndarray:
    """datetime64 as seconds since 1970, int64, as stores hold them."""
    return (np.asarray(times).astype("datetime64[s]") - EPOCH).astype(np.int64)
