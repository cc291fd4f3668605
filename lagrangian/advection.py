"""The compiled kernel: particles through two snapshots of a grid of layers, fourth-order Runge-Kutta in three dimensions.

Positions are (xi, eta) in cells and z in metres, positive up (see :mod:`data.grid`); time in seconds. Velocities are taken at
their own points: u and v linear in xi, eta and, between layer centres, in z; vertical velocity at rho points, linear in z;
all linear in time. On a C-grid the points of u and v are offset by half a cell, on an A-grid by none. Above the uppermost and
below the lowest layer centre u and v keep their value.

Vertical motion. With omega, the velocity through the moving s-surfaces, a particle obeys

    dz/dt = omega - sinking_speed + (dz/dt of the s-surface it is on, followed along the path),

where the last term comes from the bilinear h and zeta themselves. Within a step the height is written as
``z = z_s0(h, zeta) + q`` with s0 the s-surface at the start of the step, and q is what Runge-Kutta integrates. A particle with
omega = 0 and no sinking then stays on its s-surface to rounding, over any slope, and one in a resting sea sinks in a straight
line. With a true vertical velocity w the height itself is integrated.

Crossings of levels are sought on the cubic Hermite curve through both ends of a step, then by redoing the step up to there, for
many crossings together.

The steps of one particle wait for one another, those of different particles do not. LANES particles therefore go side by side
(see :mod:`lagrangian.simd`): all take the same stage of their own step at the same time. They begin together, and the lane of
one that ends early stays empty until the others have come to their end: the beginning of one alone costs what it costs for all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from data.compiled import njit
from lagrangian.simd import (
    LANES,
    bits,
    cell_sums,
    clip,
    column_sums,
    element,
    element_at,
    floor,
    get_row,
    kept,
    located,
    rows_at,
    set_row,
    splat,
    where,
)

FASTMATH = {"contract", "nsz", "arcp"}

#: Status of a particle (contract: particles.zarr ``status``); ACTIVE is internal.
ACTIVE, REACHED, LEFT_DOMAIN, GROUNDED, RECORD_ENDED = -1, 0, 1, 2, 3

#: Layout of the record of a rho point in ``cells``; eight doubles fill one cache line.
RECORD, H, ZETA0, ZETA1, PM, PN, MASK = 8, 0, 1, 2, 3, 4, 5

#: How the vertical velocity array of a window is to be read.
OMEGA, W_AT_INTERFACES, W_AT_CENTRES = 0, 1, 2

#: Rows of what is known of each lane, all float64. At the start of its step: place, rates (1/s, m/s; Z_RATE without sinking), the
#: s-surface (A, C) that q is counted from, and the half layer, which is where the next search begins.
ROWS = 37
X, Y, Z, X_RATE, Y_RATE, Q_RATE, Z_RATE, A, C, HALF = range(10)
#: The particle's: sinking speed, clock at its first step, step, steps made and to make, height of the next level, diffusivity.
SINK, BEGAN, STEP, DONE, STEPS, TARGET, KAPPA = range(10, 17)
#: At the end of the step; there Z1 may still lie above the surface ZETA.
X1, Y1, Q1, Z1, ZETA, X1_RATE, Y1_RATE, Z1_RATE = range(17, 25)
#: Crossings that wait to be found together: as many lanes cost what one costs, and the code that finds them comes from afar.
WAITING = 8 * LANES
#: Rows of a lane that a crossing of it takes along: all above.
COPIED = 25
#: TAKEN is 1 where the lane holds a particle, else 0. FRESH is 0 unless the particle is about to begin at (X1, Y1, height Q1);
#: then it is KNOWN where HALF is the particle's half layer, or one near it, and NEW where HALF says nothing. FINISHED is 1 where
#: the particle has come to its end; STATE is its status then.
TAKEN, FRESH, FINISHED, STATE = range(25, 29)
#: For the moment: a random step, m.
EAST, NORTH = range(29, 31)
#: Of a crossing that waits: the part of the step at which it may be, what it lies between (parts, and heights there), and how
#: often the step has been redone up to there.
PART, LOW, Z_LOW, HIGH, Z_HIGH, TRIES = range(31, 37)
NEW, KNOWN = 1.0, 2.0


class Sea(NamedTuple):
    """What particles move through, see :func:`advance`; ``halves`` is the address of :func:`half_levels`."""

    u: int
    v: int
    w: int
    cells: int
    halves: int
    n: int
    hc: float
    vtransform: int
    mode: int
    ny: int
    nx: int
    ny_v: int
    nx_u: int
    offset: float
    px: int
    py: int
    time0: float
    per_span: float


def half_levels(vertical) -> np.ndarray:
    """(2 n + 3, 2) a and c of interfaces and layer centres of a vertical coordinate in turn, floor first, one more at each end.

    Half layer m = 0 ... 2 n - 1 lies between entries m + 1 and m + 2. The kernel knows the table by its address: whoever calls
    :func:`advance` holds the array.
    """
    n = vertical.n
    table = np.empty((2 * n + 3, 2))
    table[1::2, 0], table[1::2, 1] = vertical.a_w, vertical.c_w
    table[2:-1:2, 0], table[2:-1:2, 1] = vertical.a_rho, vertical.c_rho
    table[0] = 2.0 * table[1] - table[2]
    table[-1] = 2.0 * table[-2] - table[-3]
    return table


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _cell(position, period, n):
    """Position wrapped, lower index of the rho cell that holds it on an axis of n points, and the fraction within, clamped."""
    if period > 0:
        inside = (position >= 0.0) & (position < period)
        position = where(inside, position, position - period * floor(position / period))
    lower = clip(floor(position), 0, n - 2)
    return position, lower, clip(position - lower, 0.0, 1.0)


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _faces(position, period, n, offset):
    """The two points of u or v (n of them, at i + offset) around a position on its axis, and the fraction between them."""
    first = floor(position - offset)
    if period > 0:
        fraction = position - offset - first
        second = first + 1.0
        second = clip(where(second >= period, second - period, second), 0.0, n - 1)
        first = clip(where(first < 0, first + period, first), 0.0, n - 1)
    else:
        first = clip(first, 0, n - 2)
        fraction = clip(position - offset - first, 0.0, 1.0)
        second = first + 1.0
    return first, second, fraction


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _stretch(h, ze, hc, vtransform):
    """Stretch D(h, zeta) of z = zeta + D (a + h c), 1/D, dD/dh and dD/dzeta."""
    if vtransform == 2:
        d_ze = 1.0 / (hc + h)
        d = (ze + h) * d_ze
        inverse = (hc + h) / (ze + h)
        d_h = d_ze - d * d_ze
    else:
        d_ze = 1.0 / h
        d = 1.0 + ze * d_ze
        inverse = 1.0 / d
        d_h = (0.0 - ze) * d_ze * d_ze
    return d, inverse, d_h, d_ze


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _layers(m, n):
    """Layer between interfaces, and the lower of the two layer centres around, of the half layer m."""
    return floor(0.5 * m), clip(floor(0.5 * (m - 1.0)), 0, n - 2)


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _columns(i, j, first_u, second_u, first_v, second_v, m, sea):
    """Offsets of the columns around a place in the half layer m, two of u, of v and of w; the caller locates them.

    A located place lasts no longer than the function that called ``located`` (see :mod:`lagrangian.simd`).
    """
    k, kr = _layers(m, sea.n)
    depth2 = 2 * sea.n
    k2 = 2.0 * kr
    start = j * sea.nx_u
    u0 = (start + first_u) * depth2 + k2
    u1 = (start + second_u) * depth2 + k2
    v0 = (first_v * sea.nx + i) * depth2 + k2
    v1 = (second_v * sea.nx + i) * depth2 + k2
    if sea.mode != W_AT_CENTRES:
        depth2 = 2 * (sea.n + 1)
        k2 = 2.0 * k
    start = (j * sea.nx + i) * depth2 + k2
    return u0, u1, v0, v1, start, start + sea.nx * depth2


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _beyond(g, h, m, levels, n):
    """Where g lies below the half layer m, so that a[m] + h c[m] > g, and where above it, so that g >= a[m + 1] + h c[m + 1]."""
    _a, _c, a1, c1, a2, c2, _b, _d = levels
    return (g < a1 + h * c1) & (m > 0), (g >= a2 + h * c2) & (m < 2 * n - 1)


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _fractions(g, h, m, levels, n):
    """The fraction within the layer between interfaces and (a, c) there; the fraction between the two layer centres around."""
    a0, c0, a1, c1, a2, c2, a3, c3 = levels
    below = a0 + h * c0
    lower = a1 + h * c1
    upper = a2 + h * c2
    above = a3 + h * c3
    # the lower half of a layer lies between an interface and a centre, the upper half between a centre and an interface
    f_below = (g - below) / (upper - below)
    f_above = (g - lower) / (above - lower)
    top = m > 2.0 * floor(0.5 * m)
    fw = clip(where(top, f_below, f_above), 0.0, 1.0)
    fr = where(m < 1, 0.0, where(m > 2 * n - 2, 1.0, where(top, f_above, f_below)))
    return fw, where(top, a0 + fw * (a2 - a0), a1 + fw * (a3 - a1)), where(top, c0 + fw * (c2 - c0), c1 + fw * (c3 - c1)), fr


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _rates(x, y, q, clock, m, reach, a0, c0, fresh, sea):
    """Rates of change at one place and instant of each lane.

    m: guess of the half layer; reach: how far from it to look first; (a0, c0): the s-surface that q is counted from; where fresh,
    q is the height instead, at most that of the surface, and (a0, c0) is (0, 0), the free surface. Returns, all without sinking:
    dxi/dt, deta/dt, dq/dt, dz/dt, the vertical velocity of the window's array (omega or w); then z, h, zeta, the share of sea
    among the corners of the cell, m and the (a, c) of the s-surface through the point.
    """
    n = sea.n
    dw1 = sea.per_span
    w1 = (clock - sea.time0) * dw1
    w0 = 1.0 - w1
    x, i, fx = _cell(x, sea.px, sea.nx)
    y, j, fy = _cell(y, sea.py, sea.ny)
    first_u, second_u, fu = _faces(x, sea.px, sea.nx_u, sea.offset)
    first_v, second_v, fv = _faces(y, sea.py, sea.ny_v, sea.offset)
    # all is located first, as if the layer were the same as before, which it most often is
    corner = located(sea.cells, 8, (j * sea.nx + i) * RECORD)
    places = located(sea.halves, 8, 2.0 * m)
    at_u0, at_u1, at_v0, at_v1, at_lower, at_upper = _columns(i, j, first_u, second_u, first_v, second_v, m, sea)
    u0, u1, v0, v1 = located(sea.u, 4, at_u0), located(sea.u, 4, at_u1), located(sea.v, 4, at_v0), located(sea.v, 4, at_v1)
    lower, upper = located(sea.w, 4, at_lower), located(sea.w, 4, at_upper)
    fx, fy, fu, fv = kept(fx), kept(fy), kept(fu), kept(fv)
    h, z0, z1, pm, pn, wet, _, _, h_xi, z0_xi, z1_xi, h_eta, z0_eta, z1_eta = cell_sums(corner, 8 * RECORD * sea.nx, fx, fy)
    ze = w0 * z0 + w1 * z1
    d, inverse, d_h, d_ze = _stretch(h, ze, sea.hc, sea.vtransform)
    if sea.mode == OMEGA:
        q = where(fresh, where(q < ze, q, ze) - ze, q)
        g = a0 + h * c0 + q * inverse
        z = ze + d * (a0 + h * c0) + q
    else:
        z = q
        g = (z - ze) * inverse
    levels = rows_at(places)
    down, up = _beyond(g, h, m, levels, n)
    if bits(down | up):
        # in strides that become ever shorter, the first long where nothing is known
        for _ in range(4 * n):  # more than it can take
            m = clip(m + where(up, reach, where(down, 0.0 - reach, 0.0)), 0, 2 * n - 1)
            reach = clip(floor(0.5 * reach), 1.0, n)
            levels = rows_at(located(sea.halves, 8, 2.0 * m))
            down, up = _beyond(g, h, m, levels, n)
            if bits(down | up) == 0:
                break
        at_u0, at_u1, at_v0, at_v1, at_lower, at_upper = _columns(i, j, first_u, second_u, first_v, second_v, m, sea)
        u0, u1, v0, v1 = located(sea.u, 4, at_u0), located(sea.u, 4, at_u1), located(sea.v, 4, at_v0), located(sea.v, 4, at_v1)
        lower, upper = located(sea.w, 4, at_lower), located(sea.w, 4, at_upper)
    fw, a, c, fr = _fractions(g, h, m, levels, n)
    gr = 1.0 - fr
    row_bytes = 8 * n
    u00, u01, u10, u11 = column_sums(u0, u1, sea.nx_u * row_bytes, fu, fy)
    rate_xi = (gr * (w0 * u00 + w1 * u01) + fr * (w0 * u10 + w1 * u11)) * pm
    v00, v01, v10, v11 = column_sums(v0, v1, row_bytes, fv, fx)
    rate_eta = (gr * (w0 * v00 + w1 * v01) + fr * (w0 * v10 + w1 * v11)) * pn
    if sea.mode != W_AT_CENTRES:
        row_bytes = 8 * (n + 1)
        fr = fw
        gr = 1.0 - fr
    w00, w01, w10, w11 = column_sums(lower, upper, row_bytes, fy, fx)
    ww = gr * (w0 * w00 + w1 * w01) + fr * (w0 * w10 + w1 * w11)
    if sea.mode != OMEGA:
        return rate_xi, rate_eta, ww, ww, ww, z, h, ze, wet, m, splat(0.0), splat(0.0)
    # how fast h and zeta change along the path, and with them the stretch
    h_dot = rate_xi * h_xi + rate_eta * h_eta
    ze_dot = dw1 * (z1 - z0) + rate_xi * (w0 * z0_xi + w1 * z1_xi) + rate_eta * (w0 * z0_eta + w1 * z1_eta)
    d_dot = d_h * h_dot + d_ze * ze_dot
    # motion of the s-surface through the point, and its excess over that of the reference surface
    surface = ze_dot + d_dot * (a + h * c) + d * c * h_dot
    excess = d_dot * ((a - a0) + h * (c - c0)) + d * (c - c0) * h_dot
    return rate_xi, rate_eta, ww + excess, ww + surface, ww, z, h, ze, wet, m, a, c


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _records(i, j, fx, fy, sea):
    """Bilinear values at fractions (fx, fy) of the cell (i, j), in the order of H, ZETA0, ..., MASK; derivatives behind."""
    return cell_sums(located(sea.cells, 8, (j * sea.nx + i) * RECORD), 8 * RECORD * sea.nx, kept(fx), kept(fy))


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def _height(x, y, q, clock, a0, c0, sea):
    """z, h, zeta and the share of sea at (x, y), of what is q above the s-surface (a0, c0) there (of q where z is integrated)."""
    _x, i, fx = _cell(x, sea.px, sea.nx)
    _y, j, fy = _cell(y, sea.py, sea.ny)
    sums = _records(i, j, fx, fy, sea)
    h = sums[H]
    ze = sums[ZETA0] + (clock - sea.time0) * sea.per_span * (sums[ZETA1] - sums[ZETA0])
    if sea.mode != OMEGA:
        return q, h, ze, sums[MASK]
    d, _inverse, _d_h, _d_ze = _stretch(h, ze, sea.hc, sea.vtransform)
    return ze + d * (a0 + h * c0) + q, h, ze, sums[MASK]


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def _stride(at, part, sea):
    """``part`` (lanes) of a Runge-Kutta step from its start, all as in the rows at ``at``. Returns x, y, q at its end, and m."""
    x = get_row(at, X)
    y = get_row(at, Y)
    k1x = get_row(at, X_RATE)
    k1y = get_row(at, Y_RATE)
    k1q = get_row(at, Q_RATE)
    sink = get_row(at, SINK)
    a0 = get_row(at, A)
    c0 = get_row(at, C)
    q0 = splat(0.0) if sea.mode == OMEGA else get_row(at, Z)
    nobody = sink < sink
    step = part * get_row(at, STEP)
    half = 0.5 * step
    clock = get_row(at, BEGAN) + get_row(at, DONE) * get_row(at, STEP)
    m = get_row(at, HALF)
    kx = k1x
    ky = k1y
    kq = k1q
    sum_x = k1x
    sum_y = k1y
    sum_q = k1q
    for stage in range(3):  # the second to the fourth
        ahead = half if stage < 2 else step
        weight = 2.0 if stage < 2 else 1.0
        kx, ky, kq, _g, _w, _z, _h, _e, _s, m, _a, _c = _rates(
            x + ahead * kx, y + ahead * ky, q0 + ahead * (kq - sink), clock + ahead, m, splat(1.0), a0, c0, nobody, sea
        )
        sum_x = sum_x + weight * kx
        sum_y = sum_y + weight * ky
        sum_q = sum_q + weight * kq
    sixth = step / 6.0
    x1 = x + sixth * sum_x
    y1 = y + sixth * sum_y
    q1 = q0 + sixth * sum_q - step * sink
    return x1, y1, q1, m


@njit(nogil=True, error_model="numpy", forceinline=True)
def _hermite(f0, g0, f1, g1, s):
    """Cubic through f0, f1 with slopes g0, g1 (per unit of s in [0, 1])."""
    s2 = s * s
    s3 = s2 * s
    return (2 * s3 - 3 * s2 + 1) * f0 + (s3 - 2 * s2 + s) * g0 + (3 * s2 - 2 * s3) * f1 + (s3 - s2) * g1


@njit(nogil=True, error_model="numpy")
def _guessed(at):
    """The part of its step at which each lane passes TARGET if the height follows the cubic with the slopes at both ends.

    By bisection and secant; 0 where the step begins at TARGET or above, 1 where it ends at TARGET or below.
    """
    step, sink, target = get_row(at, STEP), get_row(at, SINK), get_row(at, TARGET)
    z0, z1 = get_row(at, Z), get_row(at, Z1)
    g0, g1 = step * (get_row(at, Z_RATE) - sink), step * (get_row(at, Z1_RATE) - sink)
    low, high = splat(0.0), splat(1.0)
    within = (z0 < target) & (z1 > target)
    s = where(within, (target - z0) / (z1 - z0), where(z0 >= target, 0.0, 1.0))
    sought = within
    for _ in range(60):
        value = _hermite(z0, g0, z1, g1, s) - target
        sought = sought & ~((value < 1e-6) & (value > -1e-6))
        if bits(sought) == 0:
            break
        above = value > 0.0
        high = where(above, s, high)
        low = where(above, low, s)
        slope = (6 * s * s - 6 * s) * (z0 - z1) + (3 * s * s - 4 * s + 1) * g0 + (3 * s * s - 2 * s) * g1
        better = where(slope > 0.0, s - value / slope, low)
        better = where((better > low) & (better < high), better, 0.5 * (low + high))
        s = where(sought, better, s)
    return s


@njit(nogil=True, error_model="numpy")
def _mix(x):
    """SplitMix64 finaliser: a 64-bit hash (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, error_model="numpy")
def _key(seed, uid):
    """What makes a particle's random numbers its own."""
    key = _mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    return _mix(key ^ (np.uint64(uid) * np.uint64(0xD1342543DE82EF95) + np.uint64(1)))


@njit(nogil=True, error_model="numpy")
def _uniform_pair(key, instant):
    """Two numbers of mean 0 and variance 1, uniform over +-sqrt(3), that depend on nothing but the arguments."""
    bits = _mix(key ^ np.uint64(instant))
    one = np.float64(bits >> np.uint64(32)) + 0.5
    two = np.float64(bits & np.uint64(0xFFFFFFFF)) + 0.5
    scale = 2.0 * math.sqrt(3.0) * 2.0**-32
    return scale * one - math.sqrt(3.0), scale * two - math.sqrt(3.0)


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def _on_land(x, y, sea):
    """Where the rho point nearest to (x, y) is land."""
    _x, i, fx = _cell(x, sea.px, sea.nx)
    _y, j, fy = _cell(y, sea.py, sea.ny)
    nearest = (j + where(fy > 0.5, 1.0, 0.0)) * sea.nx + i + where(fx > 0.5, 1.0, 0.0)
    return element_at(located(sea.cells, 8, nearest * RECORD), MASK) < 0.5


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _outside(x, y, sea):
    """Where (x, y) lies beyond the outermost u or v points, where velocities end."""
    out = x < x
    if sea.px == 0:
        out = ~((x >= sea.offset) & (x <= sea.nx - 1 - sea.offset))
    if sea.py == 0:
        out = out | ~((y >= sea.offset) & (y <= sea.ny - 1 - sea.offset))
    return out


@njit(nogil=True, error_model="numpy", forceinline=True)
def _kappa_at(depth, kappa_depth, kappa, n_kappa):
    """Diffusivity at a depth, m2/s."""
    found = splat(element(kappa, 0))
    for m in range(1, n_kappa):
        found = where(depth >= element(kappa_depth, m), element(kappa, m), found)
    return found


@njit(nogil=True, error_model="numpy")
def _jump(lane, at, some, key, sea):
    """Random horizontal steps of ``some``, of variance 2 kappa |step| each way.

    A particle whose random step would end on land or outside the domain makes none.
    """
    for i in range(LANES):
        length = math.sqrt(2.0 * lane[KAPPA, i] * abs(lane[STEP, i]))
        east, north = _uniform_pair(key[i], int(round((lane[BEGAN, i] + lane[DONE, i] * lane[STEP, i]) * 1000.0)))
        lane[EAST, i] = length * east
        lane[NORTH, i] = length * north
    x = get_row(at, X1)
    y = get_row(at, Y1)
    _x, i, _fx = _cell(x, sea.px, sea.nx)
    _y, j, _fy = _cell(y, sea.py, sea.ny)
    corner = located(sea.cells, 8, (j * sea.nx + i) * RECORD)
    x2 = x + get_row(at, EAST) * element_at(corner, PM)
    y2 = y + get_row(at, NORTH) * element_at(corner, PN)
    free = some & ~(_outside(x2, y2, sea) | _on_land(x2, y2, sea))
    set_row(at, X1, where(free, x2, x))
    set_row(at, Y1, where(free, y2, y))


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _crosses(at, some):
    """Where the step of ``some`` passes TARGET; a level that the surface itself is below counts where the surface is met."""
    z1 = get_row(at, Z1)
    ze1 = get_row(at, ZETA)
    target = get_row(at, TARGET)
    return some & ((z1 >= target) | ((z1 >= ze1) & (target > ze1 - 1e-3)))


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def _end(at, some, h1, wet, n_levels, sea):
    """End the step of ``some``: their height, the steps made, and whether that was the last of them."""
    z = where(get_row(at, Z1) < get_row(at, ZETA), get_row(at, Z1), get_row(at, ZETA))
    x = get_row(at, X1)
    y = get_row(at, Y1)
    down = z < 0.0 - h1
    if bits(some & (wet < 1.0)):
        down = down | _on_land(x, y, sea)
    state = where(_outside(x, y, sea), LEFT_DOMAIN, where(down, GROUNDED, ACTIVE))
    if n_levels > 0:
        state = where(get_row(at, TARGET) < np.inf, state, REACHED)
    done = get_row(at, DONE) + 1.0
    finished = (state > ACTIVE) | (done >= get_row(at, STEPS))
    set_row(at, Z, where(some, z, get_row(at, Z)))
    set_row(at, STATE, where(some, state, get_row(at, STATE)))
    set_row(at, DONE, where(some, done, get_row(at, DONE)))
    set_row(at, FINISHED, where(some & finished, 1.0, get_row(at, FINISHED)))


@njit(nogil=True, error_model="numpy")
def _cross(lane, crossing, seat, row_of, next_level, levels, crossings, waiting, place_of, n_waiting, sea):
    """Note the next crossing of each lane in ``crossing`` (a mask); TARGET becomes the level after it, or not a number.

    Crossings wait in the columns of ``waiting`` (WAITING / LANES, ROWS, LANES) until no column is free. ``place_of``
    (WAITING, 2): row and level of each. Returns how many wait now, fewer than WAITING.
    """
    some = bits(crossing)
    for i in range(LANES):
        if not some >> i & 1:
            continue
        level = next_level[seat[i]]
        group, column = n_waiting // LANES, n_waiting % LANES
        for k in range(COPIED):
            waiting[group, k, column] = lane[k, i]
        waiting[group, TRIES, column] = 0.0
        place_of[n_waiting, 0], place_of[n_waiting, 1] = row_of[seat[i]], level
        n_waiting += 1
        while n_waiting == WAITING:
            n_waiting = _settle(waiting, place_of, n_waiting, crossings, sea)
        next_level[seat[i]] = level + 1
        lane[TARGET, i] = levels[level + 1] if level + 1 < levels.shape[0] else np.nan
    return n_waiting


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def _try(at, taken, sea):
    """Redo the steps of the crossings ``taken`` (a mask) up to PART. Returns a mask of those that fit, and x and y there.

    Over steep sea floor the path has kinks at the borders of cells, which no curve through the ends of the step knows: a step is
    redone until it ends within a millimetre of TARGET, at most 20 times. The others' PART is a better guess now.
    """
    new = taken & (get_row(at, TRIES) < 1.0)
    if bits(new):
        set_row(at, PART, where(new, _guessed(at), get_row(at, PART)))
        set_row(at, LOW, where(new, 0.0, get_row(at, LOW)))
        set_row(at, Z_LOW, where(new, get_row(at, Z), get_row(at, Z_LOW)))
        set_row(at, HIGH, where(new, 1.0, get_row(at, HIGH)))
        set_row(at, Z_HIGH, where(new, get_row(at, Z1), get_row(at, Z_HIGH)))
    part = get_row(at, PART)
    x = where(part > 0.0, get_row(at, X1), get_row(at, X))
    y = where(part > 0.0, get_row(at, Y1), get_row(at, Y))
    within = taken & (part > 0.0) & (part < 1.0)
    if bits(within) == 0:
        return taken, x, y
    x1, y1, q1, _m = _stride(at, part, sea)
    clock = get_row(at, BEGAN) + (get_row(at, DONE) + part) * get_row(at, STEP)
    z, _h, _ze, _s = _height(x1, y1, q1, clock, get_row(at, A), get_row(at, C), sea)
    target = get_row(at, TARGET)
    gap = z - target
    off = within & ~((gap < 1e-3) & (gap > -1e-3))
    below = off & (gap < 0.0)
    above = off & ~(gap < 0.0)
    low = where(below, part, get_row(at, LOW))
    z_low = where(below, z, get_row(at, Z_LOW))
    high = where(above, part, get_row(at, HIGH))
    z_high = where(above, z, get_row(at, Z_HIGH))
    set_row(at, LOW, low)
    set_row(at, Z_LOW, z_low)
    set_row(at, HIGH, high)
    set_row(at, Z_HIGH, z_high)
    set_row(at, PART, where(off, low + (high - low) * clip((target - z_low) / (z_high - z_low), 0.05, 0.95), part))
    tries = get_row(at, TRIES) + 1.0
    set_row(at, TRIES, tries)
    return taken & ~(off & (tries < 20.0)), where(within, x1, x), where(within, y1, y)


@njit(nogil=True, error_model="numpy")
def _settle(waiting, place_of, n_waiting, crossings, sea):
    """Redo the steps of crossings that wait; those that fit are written down. Returns how many wait now, in the first columns."""
    kept = 0
    for group in range((n_waiting + LANES - 1) // LANES):
        first = group * LANES
        here = waiting[group]
        for i in range(LANES):
            here[TAKEN, i] = 1.0 if first + i < n_waiting else 0.0
        at = here.ctypes.data
        found, x, y = _try(at, get_row(at, TAKEN) > 0.0, sea)
        set_row(at, X1, where(found, x, get_row(at, X1)))
        set_row(at, Y1, where(found, y, get_row(at, Y1)))
        finished = bits(found)
        for i in range(min(LANES, n_waiting - first)):
            r, level = place_of[first + i, 0], place_of[first + i, 1]
            if finished >> i & 1:
                crossings[r, level, 0], crossings[r, level, 1] = here[X1, i], here[Y1, i]
                crossings[r, level, 2] = here[BEGAN, i] + (here[DONE, i] + here[PART, i]) * here[STEP, i]
                continue
            if kept < first + i:
                for k in range(ROWS):
                    waiting[kept // LANES, k, kept % LANES] = here[k, i]
                place_of[kept, 0], place_of[kept, 1] = r, level
            kept += 1
    return kept


@njit(nogil=True, fastmath=FASTMATH, error_model="numpy")
def advance(
    start,
    stop,
    order,
    xi,
    eta,
    z,
    time,
    duration,
    sinking_speed,
    status,
    next_level,
    half_layer,
    row,
    uid,
    levels,
    crossings,
    dt,
    time0,
    time1,
    u,
    v,
    w,
    cells,
    halves,
    n,
    hc,
    vtransform,
    mode,
    ny,
    nx,
    ny_v,
    nx_u,
    offset,
    px,
    py,
    kappa_depth,
    kappa,
    n_kappa,
    seed,
    lane,
    waiting,
):
    """Move particles ``order[start:stop]`` in place, each by its own signed ``duration``, in equal steps no longer than ``dt``.

    Parameters
    ----------
    order : (p,) int64
        Every particle once: neighbours here that are neighbours in the sea share what the processor has at hand, and no lane
        waits where they take as many steps. Which particles go side by side changes nothing in any path.
    xi, eta, z : (p,) float64
        Position: cells, cells, m positive up.
    time, duration : (p,) float64
        Clock, s, and how far to go, s (negative: backward). Both ends lie within the two snapshots.
    sinking_speed : (p,) float64
        m/s, positive downward.
    status : (p,) int32
        ACTIVE particles move; others are left alone. Set when a particle ends.
    next_level : (p,) int32
        Index into ``levels`` of the next crossing.
    half_layer : (p,) int16
        Half layer (see :func:`half_levels`) that the particle is in, where the search for it begins; -1 where nothing is known.
        Changes nothing in any path.
    row, uid : (p,) int64
        Row of ``crossings`` that belongs to the particle; its identity for random numbers.
    levels : (l,) float64
        Heights of the levels, m positive up (so negative), increasing. The last one ends the particle.
    crossings : (rows, l, 3) float64
        Out: xi, eta, time of each crossing.
    dt : float
        Longest step, s (> 0).
    time0, time1 : float
        Times of the snapshots in slots 0 and 1 of the packed arrays, s (either may be the earlier).
    u, v, w : address of float32
        Packed velocities of :class:`lagrangian.window.Window`: (eta, xi, s, 2).
    cells : address of (eta, xi, RECORD) float64
        h, zeta in both slots, pm, pn, mask (0 or 1) of each rho point.
    halves : address of (2 n + 3, 2) float64; hc, vtransform
        The s-coordinate of n layers, see :func:`half_levels` and :mod:`data.vertical`.
    mode : OMEGA, W_AT_INTERFACES or W_AT_CENTRES
    ny, nx : int
        Number of rho points along eta and xi.
    ny_v, nx_u : int
        Number of v points along eta, of u points along xi.
    offset : float
        Where u and v points stand, cells after the rho point of their number: 0.5 on a C-grid, 0 on an A-grid.
    px, py : int
        Periods in cells, 0 where not periodic.
    kappa_depth, kappa : addresses of (n_kappa,) float64
        Horizontal diffusivity kappa[i] (m2/s) applies from depth kappa_depth[i] (m, increasing, first 0) down to the next.
        A step of the random walk follows each step made where it is greater than 0: uniform in each direction, of
        variance 2 kappa dt, so that n of them have the kurtosis 3 - 1.2 / n.
    seed : int
    lane : (ROWS, LANES) float64
    waiting : (WAITING / LANES, ROWS, LANES) float64
        Zeros that nobody else uses, room for what is known of each lane and of each crossing that waits to be found.

    Arrays that are named by address (see :mod:`lagrangian.simd`) must stay alive, and contiguous, during the call.

    Returns
    -------
    int, float
        Number of steps made by all particles together, and the time that they were followed for, s.
    """
    sea = Sea(u, v, w, cells, halves, n, hc, vtransform, mode, ny, nx, ny_v, nx_u, offset, px, py, time0, 1.0 / (time1 - time0))
    n_levels = levels.shape[0]
    diffusive = False
    for m in range(n_kappa):
        if element(kappa, m) > 0:
            diffusive = True
    at = lane.ctypes.data
    seat = np.full(LANES, -1)
    key = np.zeros(LANES, np.uint64)
    place_of = np.zeros((WAITING, 2), np.int64)
    n_waiting = 0
    following = start
    taken = 0
    steps_done = 0
    seconds = 0.0
    while True:
        # when all have come to their end, the next in order take the lanes
        finished = bits(get_row(at, FINISHED) > 0.0)
        if finished == bits(get_row(at, TAKEN) > 0.0):
            for i in range(LANES):
                if finished >> i & 1:
                    p = seat[i]
                    xi[p], eta[p], z[p], status[p] = lane[X1, i], lane[Y1, i], lane[Z, i], int(lane[STATE, i])
                    half_layer[p] = int(lane[HALF, i])
                    steps_done += int(lane[DONE, i])
                    seconds += lane[DONE, i] * abs(lane[STEP, i])
                    seat[i] = -1
                    lane[TAKEN, i] = lane[FINISHED, i] = lane[KAPPA, i] = 0.0
                    taken -= 1
                while seat[i] < 0 and following < stop:
                    p = order[following]
                    following += 1
                    if status[p] != ACTIVE or duration[p] == 0.0:
                        continue
                    seat[i] = p
                    taken += 1
                    steps = max(1, int(math.ceil(abs(duration[p]) / dt - 1e-9)))
                    lane[X1, i], lane[Y1, i], lane[Q1, i] = xi[p], eta[p], z[p]
                    known = 0 <= half_layer[p] < 2 * n
                    lane[A, i], lane[C, i], lane[HALF, i] = 0.0, 0.0, half_layer[p] if known else n
                    lane[SINK, i], lane[BEGAN, i], lane[STEP, i] = sinking_speed[p], time[p], duration[p] / steps
                    lane[DONE, i], lane[STEPS, i] = 0.0, steps
                    lane[TARGET, i] = levels[next_level[p]] if next_level[p] < n_levels else np.nan
                    lane[TAKEN, i], lane[FRESH, i] = 1.0, KNOWN if known else NEW
                    key[i] = _key(seed, uid[p]) if diffusive else np.uint64(0)
            if taken == 0:
                break
        moving = (get_row(at, TAKEN) > 0.0) & ~(get_row(at, FRESH) > 0.0) & ~(get_row(at, FINISHED) > 0.0)
        walking = moving & (get_row(at, KAPPA) > 0.0)
        if bits(moving):
            x1, y1, q1, half = _stride(at, splat(1.0), sea)
            set_row(at, X1, where(moving, x1, get_row(at, X1)))
            set_row(at, Y1, where(moving, y1, get_row(at, Y1)))
            set_row(at, Q1, where(moving, q1, get_row(at, Q1)))
            set_row(at, HALF, where(moving, half, get_row(at, HALF)))
        if bits(walking):
            # the next step starts elsewhere: of this end only the height is wanted, and a slope that leads to a crossing
            step = get_row(at, STEP)
            x1, y1 = get_row(at, X1), get_row(at, Y1)
            end = get_row(at, BEGAN) + (get_row(at, DONE) + 1.0) * step
            z1, h1, ze1, wet = _height(x1, y1, get_row(at, Q1), end, get_row(at, A), get_row(at, C), sea)
            set_row(at, Z1, z1)
            set_row(at, ZETA, ze1)
            set_row(at, X1_RATE, (x1 - get_row(at, X)) / step)
            set_row(at, Y1_RATE, (y1 - get_row(at, Y)) / step)
            set_row(at, Z1_RATE, (z1 - get_row(at, Z)) / step + get_row(at, SINK))
            crossing = _crosses(at, walking)
            while bits(crossing):
                n_waiting = _cross(
                    lane, crossing, seat, row, next_level, levels, crossings, waiting, place_of, n_waiting, sea
                )
                crossing = _crosses(at, walking)
            _end(at, walking, h1, wet, n_levels, sea)
            _jump(lane, at, walking & (get_row(at, STATE) <= ACTIVE), key, sea)
            set_row(at, Q1, where(walking, get_row(at, Z), get_row(at, Q1)))
            set_row(at, A, where(walking, 0.0, get_row(at, A)))
            set_row(at, C, where(walking, 0.0, get_row(at, C)))
            set_row(at, FRESH, where(walking, KNOWN, get_row(at, FRESH)))
        # At the end of a step: the height, the slopes for a crossing, and the first stage of the next step. The next step counts
        # q from the s-surface through its own start, where dq/dt is the vertical velocity alone. At the beginning: the same.
        fresh = get_row(at, FRESH) > 0.0
        reach = where(fresh & (get_row(at, FRESH) < KNOWN), (n + 1) // 2, 1.0)
        instant = get_row(at, BEGAN) + (get_row(at, DONE) + where(fresh, 0.0, 1.0)) * get_row(at, STEP)
        x_rate, y_rate, _q, z_rate, q_rate, z1, h1, ze1, wet, half, a, c = _rates(
            get_row(at, X1), get_row(at, Y1), get_row(at, Q1), instant,
            get_row(at, HALF), reach, get_row(at, A), get_row(at, C), fresh, sea,
        )  # fmt: skip
        arrived = moving & ~walking
        if bits(arrived):
            set_row(at, Z1, z1)
            set_row(at, ZETA, ze1)
            set_row(at, X1_RATE, x_rate)
            set_row(at, Y1_RATE, y_rate)
            set_row(at, Z1_RATE, z_rate)
            crossing = _crosses(at, arrived)
            while bits(crossing):
                n_waiting = _cross(
                    lane, crossing, seat, row, next_level, levels, crossings, waiting, place_of, n_waiting, sea
                )
                crossing = _crosses(at, arrived)
            _end(at, arrived, h1, wet, n_levels, sea)
        begins = fresh & ~(get_row(at, FINISHED) > 0.0)
        set_row(at, X, get_row(at, X1))
        set_row(at, Y, get_row(at, Y1))
        set_row(at, Z, where(begins, z1, get_row(at, Z)))
        set_row(at, X_RATE, x_rate)
        set_row(at, Y_RATE, y_rate)
        set_row(at, Q_RATE, q_rate)
        set_row(at, Z_RATE, z_rate)
        set_row(at, A, a)
        set_row(at, C, c)
        set_row(at, HALF, half)
        set_row(at, FRESH, splat(0.0))
        if diffusive:
            set_row(at, KAPPA, _kappa_at(0.0 - get_row(at, Z), kappa_depth, kappa, n_kappa))
    while n_waiting:
        n_waiting = _settle(waiting, place_of, n_waiting, crossings, sea)
    return steps_done, seconds
