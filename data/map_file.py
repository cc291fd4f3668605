"""Netcdf files of maps (time, lat, lon) in the layouts of producers, toolboxes and old archives, read piece by piece."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from data.command import one_line
from data.errors import InputError
from data.lonlat import as_slice
from data.netcdf import NETCDF_LOCK, open_dataset

AXIS_NAMES = {
    "lat": ("latitude", "lat", "nav_lat"),
    "lon": ("longitude", "lon", "nav_lon"),
    "time": ("time", "t", "time_counter"),
}
#: Records, one after another in a file, that are read together, at most.
AT_ONCE = 16
#: Years that maps may be of.
FIRST_YEAR, LAST_YEAR = 1900, 2200
#: Words in names and attributes of a final product (LATE), and of a preliminary product that a final one will replace (NEAR).
LATE = ("dt", "rep", "my", "delayed time", "reprocessed", "multi year", "multiyear", "final")
NEAR = ("nrt", "near real time", "preliminary", "prelim", "interim", "myint", "provisional")
STANDARD_NAMES = {"lat": "latitude", "lon": "longitude", "time": "time"}


class MapFile:
    """The content of a file of maps; the file is open only while its header or its maps are read.

    Attributes
    ----------
    path : str
    times : (time,) datetime64[ns]
        Rounded to the second: float32 days and integer seconds of one instant agree.
    lat, lon : (lat,), (lon,) float64
        Degrees, ascending; lon without a jump, from within -180..180.
    variables : dict
        (name in the file, attributes) by name in lower case, of every variable.
    bounds : (time, 2) datetime64[ns] or None
        Beginning and end of the interval that each map is of, where the file tells.
    attrs : dict
        Global attributes.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no file of maps on a regular grid.
    """

    def __init__(self, path: str, wanted: tuple[str, ...], title: str):
        self.path = path
        with NETCDF_LOCK:
            dataset = open_dataset(path)
            try:
                self._scan(dataset, wanted, title)
            except (OSError, RuntimeError) as error:
                raise InputError(
                    f"{path}: cannot be read ({one_line(error)}); it is truncated or damaged: copy it again"
                ) from error
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{path}: its time or its grid cannot be read ({one_line(error)}); correct its attributes"
                ) from error
            finally:
                dataset.close()

    def _scan(self, dataset, wanted, title):
        self.attrs = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
        variables = dataset.variables
        self.variables = {name.lower(): (name, _attributes(variables[name])) for name in variables}
        self._sizes = {name.lower(): dict(zip(variables[name].dimensions, variables[name].shape)) for name in variables}
        if not any(name in self.variables for name in wanted):
            raise InputError(
                f"{self.path}: no {title} ({' or '.join(wanted)}); the file holds {_listed(variables)}; give files of {title}"
            )
        names = {axis: self._axis(variables, axis) for axis in AXIS_NAMES}
        self._dims = {variables[name].dimensions[0]: axis for axis, name in names.items() if name and variables[name].ndim}
        lat, lon = (_plain(variables[names[axis]]).astype(np.float64) for axis in ("lat", "lon"))
        self.lat, self._rows = self._latitudes(lat)
        self.lon, self._columns = self._longitudes(lon)
        self.times = self._instants(variables.get(names["time"]) if names["time"] else None)
        self.bounds = self._bounds(variables, variables.get(names["time"]) if names["time"] else None)

    def _axis(self, held, axis):
        """Name of the variable that holds an axis; None for a time that is not there."""
        names = [self.variables[name][0] for name in AXIS_NAMES[axis] if name in self.variables]
        names += [name for name in held if str(getattr(held[name], "standard_name", "")).lower() == STANDARD_NAMES[axis]]
        for name in names:
            if held[name].ndim == 1 or (axis == "time" and held[name].ndim == 0):
                return name
        if names:
            raise InputError(
                f"{self.path}: {names[0]} has dimensions {held[names[0]].dimensions}; give maps on a regular grid (L3 or L4), "
                "with one latitude per row and one longitude per column"
            )
        if axis == "time":
            return None
        raise InputError(
            f"{self.path}: no {STANDARD_NAMES[axis]} among {_listed(held)}; give maps on a regular longitude-latitude grid"
        )

    def _instants(self, variable):
        if variable is None:
            # daily files of some ocean-colour archives tell their time by attributes alone
            try:
                ends = [self.attrs[f"time_coverage_{end}"].strip().rstrip("Z") for end in ("start", "end")]
                first, last = (np.datetime64(end, "ns") for end in ends)
            except (KeyError, ValueError, AttributeError):
                raise InputError(
                    f"{self.path}: no time; give files with a time coordinate, or time_coverage_start and _end"
                ) from None
            return np.array([first + (last - first) // 2])
        return self._decoded(variable, np.atleast_1d(_plain(variable)), _attributes(variable))

    def _bounds(self, held, time):
        """Bounds of the times, of CF, or of time_coverage_start and _end in a file of one map; None if the file tells none."""
        name = str(getattr(time, "bounds", "")) if time is not None else ""
        if name in held and held[name].ndim == 2 and held[name].shape == (self.times.size, 2):
            variable = held[name]
            # bounds may leave units and calendar to their variable (CF 7.1)
            attributes = {key: value for key, value in _attributes(time).items() if key in ("units", "calendar")}
            try:
                return self._decoded(variable, _plain(variable), attributes | _attributes(variable))
            except InputError:  # bounds that say nothing
                return None
        if self.times.size == 1:
            try:
                ends = [self.attrs[f"time_coverage_{end}"].strip().rstrip("Z") for end in ("start", "end")]
                ends = np.array([ends], "datetime64[ns]")
            except (KeyError, ValueError, AttributeError):
                return None
            # of a piece cut out of a longer record the attributes may be the record's
            inside = ends[0, 0] <= self.times[0] <= ends[0, 1]
            return ends if inside and ends[0, 1] - ends[0, 0] <= np.timedelta64(400, "D") else None
        return None

    def _decoded(self, variable, values, attributes):
        """Values of a variable of times as datetime64[ns], of the same shape."""
        where = f"{self.path}: {variable.name}"
        fills = [np.ravel(attributes[name]) for name in ("_FillValue", "missing_value") if name in attributes]
        if not np.isfinite(values).all() or any(np.isin(values, fill.astype(values.dtype)).any() for fill in fills):
            raise InputError(f"{where} has missing values; the file was never finished: copy it again, or leave it out")
        if "scale_factor" in attributes or "add_offset" in attributes:
            values = values * float(attributes.get("scale_factor", 1.0)) + float(attributes.get("add_offset", 0.0))
        units = str(attributes.get("units", "(none)"))
        if "since" not in units:
            raise InputError(f"{where} has units {units!r}; to date the maps, 'days since 1950-01-01' or the like is needed")
        try:
            encoding = {"units": units, "calendar": attributes.get("calendar", "standard")}
            coded = xr.Dataset({"time": (("t", "bnds")[: values.ndim], values, encoding)})
            coder = xr.coders.CFDatetimeCoder(time_unit="ms")
            with warnings.catch_warnings():  # of times finer than milliseconds, which are rounded to the second below
                warnings.simplefilter("ignore", xr.SerializationWarning)
                decoded = xr.decode_cf(coded, decode_times=coder)["time"].values.astype("datetime64[ms]")
            decoded = (decoded + 500).astype("datetime64[s]")
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{where} cannot be read as dates ({one_line(error)}); its units are {units!r}") from error
        years = decoded.astype("datetime64[Y]").astype(np.int64) + 1970
        # beyond 2262 nanoseconds would wrap, and no satellite map is so old or so new
        if years.min() < FIRST_YEAR or years.max() > LAST_YEAR:
            raise InputError(
                f"{where} is of the years {years.min()} to {years.max()}, which no satellite map is; its units are {units!r}: "
                "correct them"
            )
        return decoded.astype("datetime64[ns]")

    def _latitudes(self, lat):
        if lat.size < 2 or not np.isfinite(lat).all() or np.abs(lat).max() > 90:
            raise InputError(f"{self.path}: latitudes must be two or more, in degrees north within -90..90")
        rows = np.arange(lat.size)[:: -1 if lat[0] > lat[-1] else 1]
        if not (np.diff(lat[rows]) > 0).all():
            raise InputError(f"{self.path}: latitudes are not in order; give maps on a regular grid")
        return lat[rows], rows

    def _longitudes(self, lon):
        if lon.size < 2 or not np.isfinite(lon).all():
            raise InputError(f"{self.path}: longitudes must be two or more, in degrees east")
        # one way round, with one step of more than half the globe where the count of degrees begins anew
        steps = np.diff(lon)
        eastward, westward = ((way < 0) & (way > -180) for way in (steps, -steps))
        wraps = min(np.count_nonzero(steps <= -180), np.count_nonzero(steps >= 180))
        if (eastward.any() and westward.any()) or wraps > 1:
            raise InputError(f"{self.path}: longitudes are not in order; give maps on a regular grid")
        turned = np.round(np.mod(lon + 180, 360) - 180, 9)
        columns = np.argsort(turned, kind="stable")
        turned = turned[columns]
        spacing = np.median(np.diff(turned))
        # first and last column of some global maps are one meridian
        once = np.append(np.diff(turned) > 0.01 * spacing, turned[0] + 360 - turned[-1] > 0.01 * spacing)
        if once.size - once.sum() > 1:
            raise InputError(f"{self.path}: {once.size - once.sum()} longitudes occur twice; give maps on a regular grid")
        columns, turned = columns[once], turned[once]
        steps = np.diff(turned)
        if steps.max() > 1.01 * (turned[0] + 360 - turned[-1]) and steps.max() > 1.5 * spacing:
            # the map ends at both sides of its largest gap: begin east of it
            start = int(np.argmax(steps)) + 1
            columns, turned = np.roll(columns, -start), np.concatenate([turned[start:], turned[:start] + 360])
        return turned, columns

    def check_dimensions(self, name: str) -> None:
        """InputError unless the variable is (time, lat, lon) in any order, further dimensions of length 1 apart."""
        sizes = self._sizes[name]
        axes = [self._dims.get(dim) for dim in sizes]
        extra = [dim for dim, size in sizes.items() if dim not in self._dims and size != 1]
        if extra or "lat" not in axes or "lon" not in axes:
            raise InputError(f"{self.path}: {name} has dimensions {', '.join(sizes)}; maps of (time, lat, lon) are needed")
        if "time" not in axes and self.times.size != 1:
            raise InputError(f"{self.path}: {name} has no time dimension, but the file has {self.times.size} times")

    def read(self, names: tuple[str, ...], records, rows, columns) -> list[np.ndarray]:
        """Decoded values (record, lat, lon) of each variable; indices are those of times, lat and lon. NaN where missing."""
        rows, runs = self._rows[rows], _runs(self._columns[columns])
        with NETCDF_LOCK:
            dataset = open_dataset(self.path)
            try:
                return [self._read(dataset[self.variables[name][0]], records, rows, runs) for name in names]
            except (OSError, RuntimeError) as error:
                raise InputError(
                    f"{self.path}: {' or '.join(names)} cannot be read ({one_line(error)}); the file is truncated or damaged: "
                    "copy it again"
                ) from error
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{self.path}: {' or '.join(names)} cannot be decoded ({one_line(error)}); correct scale_factor, add_offset, "
                    "_FillValue, valid_min and valid_max"
                ) from error
            finally:
                dataset.close()

    def _read(self, variable: netCDF4.Variable, records, rows, runs):
        variable.set_auto_maskandscale(False)
        axes = [self._dims.get(dim) for dim in variable.dimensions]
        order = [axes.index(axis) for axis in ("lat", "lon")]
        top, bottom = int(rows.min()), int(rows.max()) + 1
        attributes = {key: value for key, value in _attributes(variable).items() if key != "units"}
        maps = []
        for places in _together(records):
            pieces = []
            for run in runs:
                left, right = int(run.min()), int(run.max()) + 1
                part = {"time": slice(records[places[0]], records[places[-1]] + 1), "lat": slice(top, bottom),
                        "lon": slice(left, right)}  # fmt: skip
                block = variable[tuple(part.get(axis, slice(0, 1)) for axis in axes)]
                leading = [axis for axis in range(block.ndim) if axis not in order]
                block = block.transpose(*leading, *order).reshape(places.size, bottom - top, right - left)
                pieces.append(block[:, as_slice(rows - top)][:, :, as_slice(run - left)])
            maps.append(_decoded(variable.name, _joined(pieces, axis=2), attributes))
        return _joined(maps, axis=0)


class LazyMaps(xr.backends.BackendArray):
    """(time, lat, lon) float32 of many files, read where indexed.

    ``read(file number, records, rows, columns)`` gives the values; ``places`` (time, 2) holds the file's number and the record of
    each time.
    """

    def __init__(self, read, places: np.ndarray, shape: tuple[int, int]):
        self.read, self.places = read, places
        self.shape, self.dtype = (len(places), *shape), np.dtype(np.float32)

    def __getitem__(self, key):
        support = xr.core.indexing.IndexingSupport.OUTER
        return xr.core.indexing.explicit_indexing_adapter(key, self.shape, support, self._values)

    def _values(self, key):
        times, rows, columns = (np.atleast_1d(np.arange(size)[part]) for size, part in zip(self.shape, key))
        out = np.empty((times.size, rows.size, columns.size), np.float32)
        if out.size:
            files = self.places[times, 0]
            for run in np.split(np.arange(times.size), np.flatnonzero(np.diff(files)) + 1):
                out[run] = self.read(int(files[run[0]]), self.places[times[run], 1].tolist(), rows, columns)
        return out[tuple(0 if isinstance(part, (int, np.integer)) else slice(None) for part in key)]


def _decoded(name: str, stored: np.ndarray, attributes: dict) -> np.ndarray:
    """Values (record, lat, lon) as their attributes have it; NaN where missing."""
    coded = xr.Variable(("record", "lat", "lon"), stored, attributes)
    values = xr.conventions.decode_cf_variable(name, coded, decode_times=False, decode_timedelta=False).values
    return _within_valid_range(values, stored, attributes)


def _within_valid_range(values: np.ndarray, stored: np.ndarray, attributes: dict) -> np.ndarray:
    """``values`` with NaN where valid_range, valid_min or valid_max, which no decoder heeds, declare them invalid.

    The bounds are in the stored unit, except that bounds with decimals beside packed integers are in the decoded one (netCDF User
    Guide, attribute conventions).
    """
    low, high = attributes.get("valid_range", (attributes.get("valid_min", -np.inf), attributes.get("valid_max", np.inf)))
    if values.dtype.kind != "f" or (np.isneginf(low) and np.isposinf(high)):
        return values
    decimals = any(np.asarray(bound).dtype.kind == "f" and np.isfinite(bound) for bound in (low, high))
    decoded = stored.dtype.kind in "iu" and decimals
    against = values if decoded else stored
    with np.errstate(invalid="ignore"):
        return np.where((against < low) | (against > high), np.nan, values)


def _runs(index):
    """An index split where neighbours do not follow each other; in one piece where that would be many."""
    runs = np.split(index, np.flatnonzero(np.abs(np.diff(index)) != 1) + 1)
    return runs if len(runs) <= 4 else [index]


def _joined(parts: list[np.ndarray], axis: int) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def _together(records) -> list[np.ndarray]:
    """Places, in a list of records, of those that follow each other in the file, :data:`AT_ONCE` at most."""
    runs = np.split(np.arange(len(records)), np.flatnonzero(np.diff(records) != 1) + 1)
    return [part for run in runs for part in np.split(run, range(AT_ONCE, run.size, AT_ONCE))]


def _attributes(variable):
    return {name: variable.getncattr(name) for name in variable.ncattrs()}


def _plain(variable):
    variable.set_auto_maskandscale(False)
    return np.asarray(variable[...])


def reprocessing_rank(path: str, attrs: dict) -> int:
    """2 for a reprocessed (delayed-time, multi-year) or final product, 0 for a near-real-time or preliminary one, 1 where nothing
    tells.

    The file's name, then the attributes are asked, until one names exactly one of the two.
    """
    attributes = ("title", "cmems_product_id", "product_id", "id", "summary")
    for text in (Path(path).name, *(str(attrs.get(name, "")) for name in attributes)):
        words = f" {' '.join(re.split(r'[^a-z]+', text.lower()))} "
        late = any(f" {word} " in words for word in LATE)
        near = any(f" {word} " in words for word in NEAR)
        if late != near:
            return 2 if late else 0
    return 1


def _listed(names, most=12):
    names = [str(name) for name in names]
    return (", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")) or "nothing"
