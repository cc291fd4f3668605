"""The compiled kernel: particles through two snapshots of a staggered s-grid, fourth-order Runge-Kutta in three dimensions.

Positions are (xi, eta) in cells and z in metres, positive up (see :mod:`data.grid`); time in seconds. Velocities are taken at
their own points: u and v linear in xi, eta and, between layer centres, in z; vertical velocity at rho points, linear in z;
all linear in time. Above the uppermost and below the lowest layer centre u and v keep their value.

Vertical motion. With omega, the velocity through the moving s-surfaces, a particle obeys

    dz/dt = omega - sinking_speed + (dz/dt of the s-surface it is on, followed along the path),

where the last term comes from the bilinear h and zeta themselves. Within a step the height is written as
``z = z_s0(h, zeta) + q`` with s0 the s-surface at the start of the step, and q is what Runge-Kutta integrates. A particle with
omega = 0 and no sinking then stays on its s-surface to rounding, over any slope, and one in a resting sea sinks in a straight
line. With a true vertical velocity w the height itself is integrated.

Crossings of levels are sought on the cubic Hermite curve through both ends of a step, then by redoing the step up to there.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from lagrangian.simd import cell_sums, column_sum, element

FASTMATH = {"contract", "nsz", "arcp"}

#: Status of a particle (contract: particles.zarr ``status``); ACTIVE is internal.
ACTIVE, REACHED, LEFT_DOMAIN, GROUNDED, RECORD_ENDED = -1, 0, 1, 2, 3

#: Layout of the record of a rho point in ``cells``; eight doubles fill one cache line.
RECORD, H, ZETA0, ZETA1, PM, PN, MASK = 8, 0, 1, 2, 3, 4, 5

#: How the vertical velocity array of a window is to be read.
OMEGA, W_AT_INTERFACES, W_AT_CENTRES = 0, 1, 2


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _rates(
    xi, eta, q, w0, w1, dw0, dw1, k, a0, c0, u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py
):
    """Rates of change at one place and instant.

    w0, w1: weights of the two snapshots; dw0, dw1: their time derivatives (1/s); k: guess of the layer; (a0, c0): the
    s-surface that q is counted from. Returns, all without sinking: dxi/dt, deta/dt, dq/dt, dz/dt, the vertical velocity of
    the window's array (omega or w); then z, h, zeta, k and the (a, c) of the s-surface through the point.
    """
    # rho cell
    xw = xi
    yw = eta
    if px > 0 and not (0.0 <= xi < px):
        xw = xi - px * math.floor(xi / px)
    if py > 0 and not (0.0 <= eta < py):
        yw = eta - py * math.floor(eta / py)
    i = min(max(int(xw), 0), nx - 2)
    j = min(max(int(yw), 0), ny - 2)
    fx = min(max(xw - i, 0.0), 1.0)
    fy = min(max(yw - j, 0.0), 1.0)
    gx = 1.0 - fx
    gy = 1.0 - fy
    b00 = gx * gy
    b01 = fx * gy
    b10 = gx * fy
    b11 = fx * fy
    o00 = np.uint64(j * nx + i)
    o01 = np.uint64(j * nx + i + 1)
    o10 = np.uint64((j + 1) * nx + i)
    o11 = np.uint64((j + 1) * nx + i + 1)
    size = np.uint64(RECORD)
    h, z0, z1, pm, h_xi, z0_xi, z1_xi, _, h_eta, z0_eta, z1_eta, _ = cell_sums(
        cells, o00 * size, o01 * size, o10 * size, o11 * size, fx, fy
    )
    pn_at = np.uint64(PN)
    pn = (
        b00 * element(cells, np.int64(o00 * size + pn_at))
        + b01 * element(cells, np.int64(o01 * size + pn_at))
        + b10 * element(cells, np.int64(o10 * size + pn_at))
        + b11 * element(cells, np.int64(o11 * size + pn_at))
    )
    ze = w0 * z0 + w1 * z1
    # stretch D(h, zeta) of z = zeta + D (a + h c), and 1/D
    if vtransform == 2:
        d_ze = 1.0 / (hc + h)
        d = (ze + h) * d_ze
        inverse = (hc + h) / (ze + h)
    else:
        d_ze = 1.0 / h
        d = 1.0 + ze * d_ze
        inverse = 1.0 / d
    if mode == OMEGA:
        g = a0 + h * c0 + q * inverse
        z = ze + d * (a0 + h * c0) + q
    else:
        z = q
        g = (z - ze) * inverse
    # layer: a_w[k] + h c_w[k] <= g < a_w[k + 1] + h c_w[k + 1]
    k = min(max(k, 0), n - 1)
    lower = element(a_w, k) + h * element(c_w, k)
    upper = element(a_w, k + 1) + h * element(c_w, k + 1)
    while k > 0 and g < lower:
        k -= 1
        upper = lower
        lower = element(a_w, k) + h * element(c_w, k)
    while k < n - 1 and g >= upper:
        k += 1
        lower = upper
        upper = element(a_w, k + 1) + h * element(c_w, k + 1)
    fw = min(max((g - lower) / (upper - lower), 0.0), 1.0)
    kr = k
    centre = element(a_rho, k) + h * element(c_rho, k)
    if g < centre:
        kr = max(k - 1, 0)
        upper = centre
        lower = element(a_rho, kr) + h * element(c_rho, kr)
        fr = (g - lower) / (upper - lower) if kr < k else 0.0
    elif k < n - 1:
        lower = centre
        upper = element(a_rho, k + 1) + h * element(c_rho, k + 1)
        fr = (g - lower) / (upper - lower)
    else:
        kr = n - 2
        fr = 1.0
    # weights of the four (level, instant) values of a column
    r00 = (1.0 - fr) * w0
    r01 = (1.0 - fr) * w1
    r10 = fr * w0
    r11 = fr * w1
    # u: columns at i - 1/2 and i + 1/2 around the point, rows j and j + 1
    iu = int(math.floor(xw - 0.5))
    fu = xw - 0.5 - iu
    iu1 = iu + 1
    if px > 0:
        if iu < 0:
            iu += px
        if iu1 >= px:
            iu1 -= px
    elif iu < 0:
        iu = 0
        iu1 = 1
        fu = 0.0
    elif iu > nx - 3:
        iu = nx - 3
        iu1 = nx - 2
        fu = 1.0
    gu = 1.0 - fu
    depth2 = np.uint64(2 * n)
    k2 = np.uint64(2 * kr)
    row0 = j * (nx - 1)
    row1 = row0 + nx - 1
    uu = column_sum(
        u,
        np.uint64(row0 + iu) * depth2 + k2, np.uint64(row0 + iu1) * depth2 + k2,
        np.uint64(row1 + iu) * depth2 + k2, np.uint64(row1 + iu1) * depth2 + k2,
        gu * gy, fu * gy, gu * fy, fu * fy, r00, r01, r10, r11,
    )  # fmt: skip
    jv = int(math.floor(yw - 0.5))
    fv = yw - 0.5 - jv
    jv1 = jv + 1
    if py > 0:
        if jv < 0:
            jv += py
        if jv1 >= py:
            jv1 -= py
    elif jv < 0:
        jv = 0
        jv1 = 1
        fv = 0.0
    elif jv > ny - 3:
        jv = ny - 3
        jv1 = ny - 2
        fv = 1.0
    gv = 1.0 - fv
    row0 = jv * nx + i
    row1 = jv1 * nx + i
    vv = column_sum(
        v,
        np.uint64(row0) * depth2 + k2, np.uint64(row0 + 1) * depth2 + k2,
        np.uint64(row1) * depth2 + k2, np.uint64(row1 + 1) * depth2 + k2,
        gx * gv, fx * gv, gx * fv, fx * fv, r00, r01, r10, r11,
    )  # fmt: skip
    if mode != W_AT_CENTRES:
        depth2 = np.uint64(2 * (n + 1))
        k2 = np.uint64(2 * k)
        r00 = (1.0 - fw) * w0
        r01 = (1.0 - fw) * w1
        r10 = fw * w0
        r11 = fw * w1
    ww = column_sum(
        w, o00 * depth2 + k2, o01 * depth2 + k2, o10 * depth2 + k2, o11 * depth2 + k2, b00, b01, b10, b11, r00, r01, r10, r11
    )
    rate_xi = uu * pm
    rate_eta = vv * pn
    if mode != OMEGA:
        return rate_xi, rate_eta, ww, ww, ww, z, h, ze, k, 0.0, 0.0
    a = (1.0 - fw) * element(a_w, k) + fw * element(a_w, k + 1)
    c = (1.0 - fw) * element(c_w, k) + fw * element(c_w, k + 1)
    # how fast h and zeta change along the path, and with them the stretch
    h_dot = rate_xi * h_xi + rate_eta * h_eta
    ze_dot = dw0 * z0 + dw1 * z1 + rate_xi * (w0 * z0_xi + w1 * z1_xi) + rate_eta * (w0 * z0_eta + w1 * z1_eta)
    d_h = d_ze - d * d_ze if vtransform == 2 else -ze * d_ze * d_ze
    d_dot = d_h * h_dot + d_ze * ze_dot
    # motion of the s-surface through the point, and its excess over that of the reference surface
    surface = ze_dot + d_dot * (a + h * c) + d * c * h_dot
    excess = d_dot * ((a - a0) + h * (c - c0)) + d * (c - c0) * h_dot
    return rate_xi, rate_eta, ww + excess, ww + surface, ww, z, h, ze, k, a, c


@njit(cache=True, nogil=True, error_model="numpy")
def _cell(position, period, n):
    """Lower index of the rho cell that holds ``position`` on an axis of n points, and the fraction within, wrapped or clamped."""
    if period > 0 and not (0.0 <= position < period):
        position = position - period * math.floor(position / period)
    lower = min(max(int(math.floor(position)), 0), n - 2)
    return lower, min(max(position - lower, 0.0), 1.0)


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _column(x, y, w0, w1, cells, ny, nx, px, py):
    """Bilinear h and zeta at (x, y), m."""
    j, fy = _cell(y, py, ny)
    i, fx = _cell(x, px, nx)
    size = np.uint64(RECORD)
    o = np.uint64(j * nx + i)
    above = o + np.uint64(nx)
    one = np.uint64(1)
    sums = cell_sums(cells, o * size, (o + one) * size, above * size, (above + one) * size, fx, fy)
    return sums[H], w0 * sums[ZETA0] + w1 * sums[ZETA1]


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _height(x, y, q, w0, w1, a0, c0, cells, hc, vtransform, mode, ny, nx, px, py):
    """z, h and zeta at (x, y), of what is q above the s-surface (a0, c0) there (of q itself where z is what is integrated)."""
    h, ze = _column(x, y, w0, w1, cells, ny, nx, px, py)
    if mode != OMEGA:
        return q, h, ze
    stretch = (ze + h) / (hc + h) if vtransform == 2 else 1.0 + ze / h
    return ze + stretch * (a0 + h * c0) + q, h, ze


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy", forceinline=True)
def _stride(
    x, y, q0, k1x, k1y, k1q, sink, clock, step, k, a0, c0, time0, span,
    u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
):  # fmt: skip
    """One Runge-Kutta step from (x, y, q0) at ``clock`` whose first rates are known. Returns x, y, q at its end, and k."""
    dw1 = 1.0 / span
    dw0 = -dw1
    half = 0.5 * step
    w1 = (clock + half - time0) / span
    w0 = 1.0 - w1
    k2x, k2y, k2q, _g, _w, _z, _h, _e, k, _a, _c = _rates(
        x + half * k1x, y + half * k1y, q0 + half * (k1q - sink), w0, w1, dw0, dw1, k, a0, c0,
        u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
    )  # fmt: skip
    k3x, k3y, k3q, _g, _w, _z, _h, _e, k, _a, _c = _rates(
        x + half * k2x, y + half * k2y, q0 + half * (k2q - sink), w0, w1, dw0, dw1, k, a0, c0,
        u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
    )  # fmt: skip
    w1 = (clock + step - time0) / span
    w0 = 1.0 - w1
    k4x, k4y, k4q, _g, _w, _z, _h, _e, k, _a, _c = _rates(
        x + step * k3x, y + step * k3y, q0 + step * (k3q - sink), w0, w1, dw0, dw1, k, a0, c0,
        u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
    )  # fmt: skip
    sixth = step / 6.0
    x1 = x + sixth * (k1x + 2.0 * (k2x + k3x) + k4x)
    y1 = y + sixth * (k1y + 2.0 * (k2y + k3y) + k4y)
    q1 = q0 + sixth * (k1q + 2.0 * (k2q + k3q) + k4q) - step * sink
    return x1, y1, q1, k


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _refined(
    f, target, height, height1, x, y, q0, k1x, k1y, k1q, sink, clock, step, k, a0, c0, time0, span,
    u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
):  # fmt: skip
    """The part of a step at which the particle really is at ``target``: the step is redone up to there, until it fits.

    Over steep sea floor the path has kinks at the borders of cells, which no curve through the ends of the step knows.
    Returns the fraction, and x and y there.
    """
    low = 0.0
    z_low = height
    high = 1.0
    z_high = height1
    x1 = x
    y1 = y
    for _ in range(20):
        x1, y1, q1, k = _stride(
            x, y, q0, k1x, k1y, k1q, sink, clock, f * step, k, a0, c0, time0, span,
            u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
        )  # fmt: skip
        w1 = (clock + f * step - time0) / span
        z, _h, _ze = _height(x1, y1, q1, 1.0 - w1, w1, a0, c0, cells, hc, vtransform, mode, ny, nx, px, py)
        if abs(z - target) < 1e-3:
            break
        if z < target:
            low = f
            z_low = z
        else:
            high = f
            z_high = z
        f = low + (high - low) * min(max((target - z_low) / (z_high - z_low), 0.05), 0.95)
    return f, x1, y1


@njit(cache=True, nogil=True, error_model="numpy")
def _hermite(f0, g0, f1, g1, s):
    """Cubic through f0, f1 with slopes g0, g1 (per unit of s in [0, 1])."""
    s2 = s * s
    s3 = s2 * s
    return (2 * s3 - 3 * s2 + 1) * f0 + (s3 - 2 * s2 + s) * g0 + (3 * s2 - 2 * s3) * f1 + (s3 - s2) * g1


@njit(cache=True, nogil=True, error_model="numpy")
def _crossing(z0, g0, z1, g1, target):
    """Fraction s of the step at which the Hermite curve of z passes ``target``, by bisection and secant (z0 < target <= z1)."""
    low = 0.0
    high = 1.0
    s = (target - z0) / (z1 - z0)
    for _ in range(60):
        value = _hermite(z0, g0, z1, g1, s) - target
        if abs(value) < 1e-6:
            break
        if value > 0:
            high = s
        else:
            low = s
        slope = (6 * s * s - 6 * s) * (z0 - z1) + (3 * s * s - 4 * s + 1) * g0 + (3 * s * s - 2 * s) * g1
        s = s - value / slope if slope > 0 else low
        if not (low < s < high):
            s = 0.5 * (low + high)
    return s


@njit(cache=True, nogil=True, error_model="numpy")
def _mix(x):
    """SplitMix64 finaliser: a 64-bit hash (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, error_model="numpy")
def _key(seed, uid):
    """What makes a particle's random numbers its own."""
    key = _mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    return _mix(key ^ (np.uint64(uid) * np.uint64(0xD1342543DE82EF95) + np.uint64(1)))


@njit(cache=True, nogil=True, error_model="numpy")
def _uniform_pair(key, instant):
    """Two numbers of mean 0 and variance 1, uniform over +-sqrt(3), that depend on nothing but the arguments."""
    bits = _mix(key ^ np.uint64(instant))
    one = np.float64(bits >> np.uint64(32)) + 0.5
    two = np.float64(bits & np.uint64(0xFFFFFFFF)) + 0.5
    scale = 2.0 * math.sqrt(3.0) * 2.0**-32
    return scale * one - math.sqrt(3.0), scale * two - math.sqrt(3.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _on_land(x, y, cells, ny, nx, px, py):
    """Whether the rho point nearest to (x, y) is land."""
    j, fy = _cell(y, py, ny)
    i, fx = _cell(x, px, nx)
    return element(cells, RECORD * ((j + (1 if fy > 0.5 else 0)) * nx + i + (1 if fx > 0.5 else 0)) + MASK) == 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _outside(x, y, ny, nx, px, py):
    """Whether (x, y) lies beyond the outermost u or v points, where velocities end."""
    return (px == 0 and not (0.5 <= x <= nx - 1.5)) or (py == 0 and not (0.5 <= y <= ny - 1.5))


@njit(cache=True, nogil=True, error_model="numpy")
def _kappa_at(depth, kappa_depth, kappa, n_kappa):
    """Diffusivity at a depth, m2/s."""
    m = 0
    while m + 1 < n_kappa and depth >= element(kappa_depth, m + 1):
        m += 1
    return element(kappa, m)


@njit(cache=True, nogil=True, error_model="numpy")
def _jump(x, y, kappa, step, instant, key, cells, ny, nx, px, py):
    """Random horizontal step of variance 2 kappa |step| in each direction; none that would end on land or outside."""
    length = math.sqrt(2.0 * kappa * abs(step))
    east, north = _uniform_pair(key, int(round(instant * 1000.0)))
    j, _fy = _cell(y, py, ny)
    i, _fx = _cell(x, px, nx)
    x2 = x + length * east * element(cells, RECORD * (j * nx + i) + PM)
    y2 = y + length * north * element(cells, RECORD * (j * nx + i) + PN)
    if _outside(x2, y2, ny, nx, px, py) or _on_land(x2, y2, cells, ny, nx, px, py):
        return x, y
    return x2, y2


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
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
    a_rho,
    c_rho,
    a_w,
    c_w,
    n,
    hc,
    vtransform,
    mode,
    ny,
    nx,
    px,
    py,
    kappa_depth,
    kappa,
    n_kappa,
    seed,
):
    """Move particles ``order[start:stop]`` in place, each by its own signed ``duration``, in equal steps no longer than ``dt``.

    Parameters
    ----------
    order : (p,) int64
        Every particle once: neighbours here that are neighbours in the sea share what the processor has at hand.
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
    a_rho, c_rho, a_w, c_w : addresses of (n,) and (n + 1,) float64; hc, vtransform
        The s-coordinate of n layers, see :mod:`data.vertical`.
    mode : OMEGA, W_AT_INTERFACES or W_AT_CENTRES
    ny, nx : int
        Number of rho points along eta and xi.
    px, py : int
        Periods in cells, 0 where not periodic.
    kappa_depth, kappa : addresses of (n_kappa,) float64
        Horizontal diffusivity kappa[i] (m2/s) applies from depth kappa_depth[i] (m, increasing, first 0) down to the next.
        A step of the random walk follows each step made where it is greater than 0: uniform in each direction, of
        variance 2 kappa dt, so that n of them have the kurtosis 3 - 1.2 / n.
    seed : int

    Arrays that are named by address (see :mod:`lagrangian.simd`) must stay alive, and contiguous, during the call.

    Returns
    -------
    int
        Number of steps made by all particles together.
    """
    n_levels = levels.shape[0]
    span = time1 - time0
    dw1 = 1.0 / span
    dw0 = -dw1
    steps_done = 0
    diffusive = False
    for m in range(n_kappa):
        if element(kappa, m) > 0:
            diffusive = True
    for m in range(start, stop):
        p = order[m]
        if status[p] != ACTIVE or duration[p] == 0.0:
            continue
        x = xi[p]
        y = eta[p]
        height = z[p]
        sink = sinking_speed[p]
        clock = time[p]
        n_steps = max(1, int(math.ceil(abs(duration[p]) / dt - 1e-9)))
        step = duration[p] / n_steps
        level = next_level[p]
        state = ACTIVE
        fresh = True  # the rates at (x, y, height, clock) are not known yet
        k = n // 2
        key = _key(seed, uid[p]) if diffusive else np.uint64(0)
        w1 = (clock - time0) / span
        w0 = 1.0 - w1
        for s in range(n_steps):
            if fresh:
                # (a, c) = (0, 0) is the free surface: count q from there to find the s-surface through the point
                q = height
                if mode == OMEGA:
                    _h, surface = _column(x, y, w0, w1, cells, ny, nx, px, py)
                    height = min(height, surface)
                    q = height - surface
                k1x, k1y, _q, g0, k1q, height, _h, _e, k, a0, c0 = _rates(
                    x, y, q, w0, w1, dw0, dw1, k, 0.0, 0.0,
                    u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
                )  # fmt: skip
                fresh = False
            q0 = 0.0 if mode == OMEGA else height
            end = time[p] + (s + 1) * step
            x1, y1, q1, k = _stride(
                x, y, q0, k1x, k1y, k1q, sink, clock, step, k, a0, c0, time0, span,
                u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
            )  # fmt: skip
            w1 = (end - time0) / span
            w0 = 1.0 - w1
            steps_done += 1
            walk = _kappa_at(-height, kappa_depth, kappa, n_kappa) if diffusive else 0.0
            if walk > 0.0:
                # the next step starts elsewhere: of this end only the height is wanted, and a slope that leads to a crossing
                fresh = True
                height1, h1, ze1 = _height(x1, y1, q1, w0, w1, a0, c0, cells, hc, vtransform, mode, ny, nx, px, py)
                g1 = (height1 - height) / step + sink
                n1x = (x1 - x) / step
                n1y = (y1 - y) / step
                n1q = k1q
                a1 = a0
                c1 = c0
            else:
                # At the end of the step: the height, the slopes for a crossing, and the first stage of the next step. The
                # next step counts q from the s-surface through its own start, where dq/dt is the vertical velocity alone.
                n1x, n1y, _q, g1, n1q, height1, h1, ze1, k, a1, c1 = _rates(
                    x1, y1, q1, w0, w1, dw0, dw1, k, a0, c0,
                    u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
                )  # fmt: skip
            # crossings are sought on the whole curve, before what lies above the surface is cut off; a level that the
            # surface itself is below counts as crossed where the surface is met
            while level < n_levels and (height1 >= levels[level] or (height1 >= ze1 and levels[level] > ze1 - 1e-3)):
                f = 1.0
                if height >= levels[level]:
                    f = 0.0
                elif height1 > levels[level]:
                    f = _crossing(height, step * (g0 - sink), height1, step * (g1 - sink), levels[level])
                crossings[row[p], level, 0] = _hermite(x, step * k1x, x1, step * n1x, f)
                crossings[row[p], level, 1] = _hermite(y, step * k1y, y1, step * n1y, f)
                if 0.0 < f < 1.0:
                    f, crossings[row[p], level, 0], crossings[row[p], level, 1] = _refined(
                        f, levels[level], height, height1, x, y, q0, k1x, k1y, k1q, sink, clock, step, k, a0, c0, time0, span,
                        u, v, w, cells, a_rho, c_rho, a_w, c_w, n, hc, vtransform, mode, ny, nx, px, py,
                    )  # fmt: skip
                crossings[row[p], level, 2] = clock + f * step
                level += 1
            x = x1
            y = y1
            height = min(height1, ze1)
            clock = end
            if n_levels > 0 and level == n_levels:
                state = REACHED
            elif _outside(x, y, ny, nx, px, py):
                state = LEFT_DOMAIN
            elif height < -h1 or _on_land(x, y, cells, ny, nx, px, py):
                state = GROUNDED
            if state != ACTIVE:
                break
            k1x = n1x
            k1y = n1y
            k1q = n1q
            g0 = g1
            a0 = a1
            c0 = c1
            if walk > 0.0:
                x, y = _jump(x, y, walk, step, clock, key, cells, ny, nx, px, py)
        xi[p] = x
        eta[p] = y
        z[p] = height
        status[p] = state
        next_level[p] = level
    return steps_done
