"""Numba types and intrinsics of the kernel: eight particles side by side in a vector register, and what they read from memory.

``Lanes`` is a vector of eight doubles, one of each particle, with the operators of a float; ``Mask`` is a vector of eight truth
values, with ``&``, ``|`` and ``~``. Eight doubles fill a cache line and a register of AVX-512; elsewhere LLVM splits them. Every
lane goes through the same instructions, whoever its neighbours are.

Arrays are named by the address of their first element (``array.ctypes.data``): numba counts the references to an array at every
call it is passed through, atomically, and a step would spend its time on that. The caller keeps the arrays alive; no bounds are
checked. Indices into arrays are lanes of doubles too (exact to 2**53), so that no lanes of integers are needed.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import intrinsic, register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

#: Particles that go through the kernel side by side.
LANES = 8

_DOUBLE, _FLOAT, _INT32, _INT64 = ir.DoubleType(), ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FOUR, _EIGHT, _BITS = ir.VectorType(_DOUBLE, 4), ir.VectorType(_DOUBLE, 8), ir.VectorType(ir.IntType(1), 8)
_VECTOR = _EIGHT


# -- types and operators -----------------------------------------------------------------------------------------------
class _Vector(types.Type):
    """Type of the eight lanes: ``lanes`` of doubles, ``mask`` of truth values."""


class _Lanes(_Vector):
    def __init__(self):
        super().__init__("Lanes")


class _Mask(_Vector):
    def __init__(self):
        super().__init__("Mask")


lanes, mask = _Lanes(), _Mask()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _BITS)


def _splat(builder, scalar, kind):
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_INT32, 0))
    zeros = ir.Constant(ir.VectorType(_INT32, kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, first, zeros)


def _as_lanes(context, builder, value, kind):
    """A value of the type ``kind``, lanes or a number, as lanes."""
    if kind == lanes:
        return value
    return _splat(builder, context.cast(builder, value, kind, types.float64), _VECTOR)


def _operator(function, result, build):
    """Teach numba ``function`` of two lanes, or of lanes and a number."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            fits = all(kind == lanes or isinstance(kind, types.Number) for kind in args)
            return signature(result, *args) if len(args) == 2 and lanes in args and fits else None

    def lower(context, builder, sig, args):
        one, two = (_as_lanes(context, builder, value, kind) for value, kind in zip(args, sig.args, strict=True))
        return build(builder, one, two)

    for pair in ((_Lanes, _Lanes), (_Lanes, types.Number), (types.Number, _Lanes)):
        lower_builtin(function, *pair)(lower)


def _comparison(function, sign):
    _operator(function, mask, lambda builder, one, two: builder.fcmp_ordered(sign, one, two))


_operator(operator.add, lanes, lambda builder, one, two: builder.fadd(one, two))
_operator(operator.sub, lanes, lambda builder, one, two: builder.fsub(one, two))
_operator(operator.mul, lanes, lambda builder, one, two: builder.fmul(one, two))
_operator(operator.truediv, lanes, lambda builder, one, two: builder.fdiv(one, two))
for _function, _sign in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _comparison(_function, _sign)


def _logic(function, build):
    """Teach numba ``function`` of masks."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            return signature(mask, *args) if args and all(kind == mask for kind in args) else None

    def lower(context, builder, sig, args):
        return build(builder, *args)

    lower_builtin(function, *[_Mask] * (1 if function is operator.invert else 2))(lower)


_logic(operator.and_, lambda builder, one, two: builder.and_(one, two))
_logic(operator.or_, lambda builder, one, two: builder.or_(one, two))
_logic(operator.invert, lambda builder, one: builder.not_(one))


# -- functions of lanes ------------------------------------------------------------------------------------------------
def _number_or_lanes(kind):
    return kind == lanes or isinstance(kind, types.Number)


@intrinsic
def splat(typing_context, value):
    """The same number in all lanes."""

    def codegen(context, builder, sig, args):
        return _as_lanes(context, builder, args[0], sig.args[0])

    return (lanes(value), codegen) if _number_or_lanes(value) else None


@intrinsic
def where(typing_context, condition, one, other):
    """Lanes of ``one`` where the mask is set, of ``other`` elsewhere; both lanes or numbers."""

    def codegen(context, builder, sig, args):
        values = (_as_lanes(context, builder, value, kind) for value, kind in zip(args[1:], sig.args[1:], strict=True))
        return builder.select(args[0], *values)

    fits = condition == mask and _number_or_lanes(one) and _number_or_lanes(other)
    return (lanes(condition, one, other), codegen) if fits else None


@intrinsic
def floor(typing_context, value):
    """Largest whole number not above, of each lane."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.floor.v8f64"), args)

    return lanes(lanes), codegen


@intrinsic
def clip(typing_context, value, low, high):
    """Each lane within [low, high], bounds that are lanes or numbers; not a number becomes ``low``."""

    def codegen(context, builder, sig, args):
        value, low, high = (_as_lanes(context, builder, one, kind) for one, kind in zip(args, sig.args, strict=True))
        above = builder.select(builder.fcmp_ordered(">", value, low), value, low)
        return builder.select(builder.fcmp_ordered("<", above, high), above, high)

    return (lanes(value, low, high), codegen) if _number_or_lanes(low) and _number_or_lanes(high) else None


@intrinsic
def bits(typing_context, condition):
    """The mask as an int64: lane 0 in the lowest bit, 0 where it is set nowhere."""

    def codegen(context, builder, sig, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(8)), _INT64)

    return types.int64(mask), codegen


# -- memory ------------------------------------------------------------------------------------------------------------
def _pointer(builder, address, element):
    return builder.inttoptr(address, element.as_pointer())


@intrinsic
def element(typing_context, array, index):
    """array[index] of a float64 array named by its address (int64)."""

    def codegen(context, builder, sig, args):
        return builder.load(builder.gep(_pointer(builder, args[0], _DOUBLE), [args[1]]))

    return types.float64(types.int64, types.int64), codegen


@intrinsic
def get_row(typing_context, array, index):
    """Row ``index`` of a (rows, LANES) float64 array named by its address (int64), as lanes."""

    def codegen(context, builder, sig, args):
        return builder.load(builder.gep(_pointer(builder, args[0], _VECTOR), [args[1]]), align=8)

    return lanes(types.int64, types.int64), codegen


@intrinsic
def set_row(typing_context, array, index, value):
    """Put lanes into row ``index`` of a (rows, LANES) float64 array named by its address (int64)."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], builder.gep(_pointer(builder, args[0], _VECTOR), [args[1]]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, lanes), codegen


def _barrier(builder, *pointers):
    """An empty statement of assembly that might touch the memory: loads and stores stay on their side of it.

    Between lanes it keeps LLVM from loading what all of them need at once, for which there are not registers enough.
    """
    kind = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
    builder.call(ir.InlineAsm(kind, "", ",".join(["r"] * len(pointers) + ["~{memory}"]), side_effect=True), pointers)


def _spilled(builder, vector):
    """Address (int64) of a copy of a vector in memory, where its lanes cost a load each and not several shuffles."""
    with builder.goto_entry_block():  # not cgutils.alloca_once, which would fill it with zeros
        space = builder.alloca(vector.type)
    space.align = 64
    builder.store(vector, space, align=64)
    _barrier(builder, space)
    return builder.ptrtoint(space, _INT64)


@intrinsic
def kept(typing_context, value):
    """Address (int64) of a copy of lanes, one by one at hand for the sums below until the function returns."""

    def codegen(context, builder, sig, args):
        return _spilled(builder, args[0])

    return types.int64(lanes), codegen


@intrinsic
def located(typing_context, array, size, offset):
    """Address (int64) of the eight addresses, kept likewise, of array[offset].

    array: address (int64); size: bytes (int64) of an element; offset: lanes. A caller locates what it is going to
    read well before it reads it: sums that wait for their addresses fill the processor's queues, and the instructions behind
    those sums wait too.
    """

    def codegen(context, builder, sig, args):
        array, size, offset = args
        whole = builder.fptosi(offset, ir.VectorType(_INT64, LANES))
        whole = builder.mul(whole, _splat(builder, size, whole.type))
        return _spilled(builder, builder.add(whole, _splat(builder, array, whole.type)))

    return types.int64(types.int64, types.int64, lanes), codegen


def _lane_at(builder, address, kind, lane):
    """The scalar of one lane of what is kept at an address."""
    return builder.load(builder.gep(builder.inttoptr(address, kind.as_pointer()), [ir.Constant(_INT32, lane)]))


def _load(builder, address, element, count):
    """``count`` consecutive elements at an address (int64) as doubles."""
    vector = ir.VectorType(element, count)
    value = builder.load(builder.inttoptr(address, vector.as_pointer()), align=4 if element == _FLOAT else 8)
    return value if element == _DOUBLE else builder.fpext(value, ir.VectorType(_DOUBLE, count))


def _fma(builder, a, b, c):
    """a b + c, rounded once, whatever the optimiser prefers: the same in every lane."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{a.type.count}f64"), [a, b, c])


def _shuffle(builder, one, two, *order):
    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(_INT32, len(order)), list(order)))


def _transposed(builder, rows):
    """Eight vectors of four or eight doubles, one of each lane, as four or eight lanes."""
    result = []
    for part in range(rows[0].type.count // 4):
        # rows r and r + 4 share a register: columns of 4 x 4 blocks then come out in order
        if rows[0].type.count == 4:
            order = range(8)
        else:
            order = [4 * part + k for k in range(4)] + [8 + 4 * part + k for k in range(4)]
        a, b, c, d = (_shuffle(builder, rows[r], rows[r + 4], *order) for r in range(4))
        even, odd = (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)
        first, second = (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)
        pairs = [(_shuffle(builder, a, b, *order), _shuffle(builder, c, d, *order)) for order in (even, odd)]
        result += [_shuffle(builder, *pair, *order) for order in (first, second) for pair in pairs]
    return result


@intrinsic
def rows_at(typing_context, places):
    """Eight consecutive doubles at each of the located places: eight lanes."""

    def codegen(context, builder, sig, args):
        rows = [
            _load(builder, address, _DOUBLE, 8) for address in (_lane_at(builder, args[0], _INT64, lane) for lane in range(LANES))
        ]
        return cgutils.pack_array(builder, _transposed(builder, rows))

    return types.UniTuple(lanes, 8)(types.int64), codegen


@intrinsic
def element_at(typing_context, places, number):
    """The double that is ``number`` (an integer) doubles after each of the located places."""

    def codegen(context, builder, sig, args):
        value = ir.Constant(_VECTOR, ir.Undefined)
        after = builder.mul(context.cast(builder, args[1], sig.args[1], types.int64), ir.Constant(_INT64, 8))
        for lane in range(LANES):
            address = builder.add(_lane_at(builder, args[0], _INT64, lane), after)
            one = builder.load(builder.inttoptr(address, _DOUBLE.as_pointer()), align=8)
            value = builder.insert_element(value, one, ir.Constant(_INT32, lane))
        return value

    return (lanes(types.int64, number), codegen) if isinstance(number, types.Integer) else None


@intrinsic
def column_sums(typing_context, first, second, stride, across, along):
    """Bilinear values between four columns of four consecutive float32 values each: four lanes.

    first, second: where two columns are located; the others are ``stride`` bytes (int64) after either. across: the kept
    fractions from the first to the second; along: from either to what is ``stride`` after it.
    """

    def codegen(context, builder, sig, args):
        sums = []
        for lane in range(LANES):
            starts = [_lane_at(builder, places, _INT64, lane) for places in args[:2]]
            columns = [column for start in starts for column in (start, builder.add(start, args[2]))]
            across, along = (_splat(builder, _lane_at(builder, one, _DOUBLE, lane), _FOUR) for one in args[3:])
            v00, v01, v10, v11 = (_load(builder, column, _FLOAT, 4) for column in columns)
            one, two = (_fma(builder, along, builder.fsub(end, begin), begin) for begin, end in ((v00, v01), (v10, v11)))
            sums.append(_fma(builder, across, builder.fsub(two, one), one))
            _barrier(builder)
        return cgutils.pack_array(builder, _transposed(builder, sums))

    return types.UniTuple(lanes, 4)(*[types.int64] * 5), codegen


@intrinsic
def cell_sums(typing_context, corner, stride, fx, fy):
    """Bilinear values of eight consecutive quantities in a cell, and the derivatives of the first three along xi and eta.

    corner: where the float64 record of eight at the lower left corner is located, with that of the lower right one behind it;
    stride: bytes (int64) from there to the upper left one; fx, fy: kept fractions. Returns 14 lanes: eight values, three
    xi-derivatives, three eta-derivatives (per cell).
    """

    def codegen(context, builder, sig, args):
        rows = []
        for lane in range(LANES):
            low = _lane_at(builder, args[0], _INT64, lane)
            fx, fy = (_splat(builder, _lane_at(builder, one, _DOUBLE, lane), _EIGHT) for one in args[2:])
            up, right = builder.add(low, args[1]), lambda address: builder.add(address, ir.Constant(_INT64, 64))
            v00, v01, v10, v11 = (_load(builder, address, _DOUBLE, 8) for address in (low, right(low), up, right(up)))
            low_xi, high_xi = builder.fsub(v01, v00), builder.fsub(v11, v10)
            below, above = _fma(builder, fx, low_xi, v00), _fma(builder, fx, high_xi, v10)
            d_eta = builder.fsub(above, below)
            d_xi = _fma(builder, fy, builder.fsub(high_xi, low_xi), low_xi)
            rows.append((_fma(builder, fy, d_eta, below), *(_shuffle(builder, one, one, 0, 1, 2, 3) for one in (d_xi, d_eta))))
            _barrier(builder)
        values, d_xi, d_eta = (_transposed(builder, part) for part in zip(*rows, strict=True))
        return cgutils.pack_array(builder, [*values, *d_xi[:3], *d_eta[:3]])

    return types.UniTuple(lanes, 14)(*[types.int64] * 4), codegen
