"""The kernel as plain Python: numpy stands for the lanes and for the memory that the kernel knows by address.

The functions are those that numba compiles, so that what they do can be counted. Slow: for a few particles and steps.
"""

from __future__ import annotations

import ctypes
from collections import Counter

import numpy as np
from numba.core.dispatcher import Dispatcher

from lagrangian import advection, simd, window
from lagrangian.simd import LANES


def run_as_plain_python(monkeypatch) -> Counter:
    """Have :class:`lagrangian.window.Window` call the kernel uncompiled. Returns how often each function of lanes is called."""
    calls: Counter = Counter()

    def counted(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)

        return call

    for name, value in list(vars(advection).items()):
        if isinstance(value, Dispatcher):
            monkeypatch.setattr(advection, name, value.py_func)
        elif getattr(simd, name, None) is value and callable(value):
            monkeypatch.setattr(advection, name, counted(name, globals()[f"_{name}"]))
    kernel = advection.advance

    def advance(*args):
        with np.errstate(all="ignore"):  # integers that wrap make the random numbers; lanes may be empty
            return kernel(*args)

    monkeypatch.setattr(window, "advance", advance)
    return calls


def _memory(address, kind, count) -> np.ndarray:
    """``count`` numbers at an address."""
    return np.ctypeslib.as_array(ctypes.cast(int(address), ctypes.POINTER(kind)), (count,))


def _splat(value):
    return np.full(LANES, float(value))


def _where(condition, one, other):
    return np.where(condition, one, other).astype(float)


def _floor(value):
    return np.floor(value)


def _clip(value, low, high):
    above = np.where(value > low, value, low)
    return np.where(above < high, above, high).astype(float)


def _bits(condition):
    return sum(1 << lane for lane in range(LANES) if condition[lane])


def _element(array, index):
    return float(_memory(array + 8 * index, ctypes.c_double, 1)[0])


def _get_row(array, index):
    return _memory(array + 8 * LANES * index, ctypes.c_double, LANES).copy()


def _set_row(array, index, value):
    _memory(array + 8 * LANES * index, ctypes.c_double, LANES)[:] = value


def _kept(value):
    return value


def _located(array, size, offset):
    return array + size * offset.astype(np.int64)


def _rows_at(places):
    return tuple(np.array([_memory(place, ctypes.c_double, 8) for place in places]).T)


def _element_at(places, number):
    return np.array([_element(int(place), number) for place in places])


def _column_sums(first, second, stride, across, along):
    columns = (first, first + stride, second, second + stride)
    v00, v01, v10, v11 = (np.array([_memory(at, ctypes.c_float, 4) for at in places]).T.astype(float) for places in columns)
    one, two = v00 + along * (v01 - v00), v10 + along * (v11 - v10)
    return tuple(one + across * (two - one))


def _cell_sums(corner, stride, fx, fy):
    places = (corner, corner + 64, corner + stride, corner + stride + 64)
    v00, v01, v10, v11 = (np.array(_rows_at(each)) for each in places)
    low_xi, high_xi = v01 - v00, v11 - v10
    below, above = v00 + fx * low_xi, v10 + fx * high_xi
    d_eta, d_xi = above - below, low_xi + fy * (high_xi - low_xi)
    return (*(below + fy * d_eta), *d_xi[:3], *d_eta[:3])
