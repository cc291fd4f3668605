"""Numba intrinsics of the kernel: sums over the corners of a grid cell in vector registers, and loads from plain addresses.

LLVM does not find the four-lane sums by itself (numba switches its superword vectoriser off), and they are most of the kernel's
arithmetic, all of it in double precision, whatever the storage. Arrays are named by the address of their first element
(``array.ctypes.data``): numba counts the references to an array at every call it is passed through, atomically, and a step
would spend most of its time on that. The caller keeps the arrays alive; no bounds are checked.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

_DOUBLE4 = ir.VectorType(ir.DoubleType(), 4)


def _pointer(builder, address, element):
    return builder.inttoptr(address, element.as_pointer())


def _load4(builder, address, element, offset):
    """Four consecutive elements of an array as doubles."""
    vector = ir.VectorType(element, 4)
    pointer = builder.bitcast(builder.gep(_pointer(builder, address, element), [offset]), vector.as_pointer())
    value = builder.load(pointer)
    value.align = 4 if element == ir.FloatType() else 8
    return value if element == ir.DoubleType() else builder.fpext(value, _DOUBLE4)


def _splat(builder, scalar):
    first = builder.insert_element(ir.Constant(_DOUBLE4, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zero_mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0, 0, 0, 0])
    return builder.shuffle_vector(first, first, zero_mask)


def _fma(builder, a, b, c):
    kind = ir.FunctionType(_DOUBLE4, [_DOUBLE4] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v4f64"), [a, b, c])


def _weighted(builder, values, weights):
    total = builder.fmul(values[0], weights[0])
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = _fma(builder, value, weight, total)
    return total


def _lanes(builder, vector):
    return [builder.extract_element(vector, ir.Constant(ir.IntType(32), lane)) for lane in range(4)]


@intrinsic
def element(typing_context, array, index):
    """array[index] of a float64 array named by its address (int64)."""
    signature = types.float64(types.int64, types.int64)

    def codegen(context, builder, signature, args):
        return builder.load(builder.gep(_pointer(builder, args[0], ir.DoubleType()), [args[1]]))

    return signature, codegen


@intrinsic
def column_sum(typing_context, field, o00, o01, o10, o11, b00, b01, b10, b11, r0, r1, r2, r3):
    """Sum over four columns and, in each, four consecutive values: sum_c b_c sum_l r_l field[o_c + l].

    field: address (int64) of a float32 array; o: uint64 offsets; b, r: float64 weights. Returns float64.
    """
    signature = types.float64(types.int64, *[types.uint64] * 4, *[types.float64] * 8)

    def codegen(context, builder, signature, args):
        values = [_load4(builder, args[0], ir.FloatType(), offset) for offset in args[1:5]]
        lanes = _lanes(builder, _weighted(builder, values, [_splat(builder, weight) for weight in args[5:9]]))
        terms = [builder.fmul(lane, weight) for lane, weight in zip(lanes, args[9:13], strict=True)]
        return builder.fadd(builder.fadd(terms[0], terms[1]), builder.fadd(terms[2], terms[3]))

    return signature, codegen


@intrinsic
def cell_sums(typing_context, field, o00, o01, o10, o11, fx, fy):
    """Bilinear values of four consecutive quantities in a cell, and their derivatives along xi and eta.

    field: address (int64) of a float64 array; o: uint64 offsets of the four corners; fx, fy: float64 fractions.
    Returns 12 float64: four values,
    four xi-derivatives, four eta-derivatives (per cell).
    """
    signature = types.UniTuple(types.float64, 12)(types.int64, *[types.uint64] * 4, types.float64, types.float64)

    def codegen(context, builder, signature, args):
        v00, v01, v10, v11 = (_load4(builder, args[0], ir.DoubleType(), offset) for offset in args[1:5])
        fx, fy = (_splat(builder, fraction) for fraction in args[5:7])
        low_xi, high_xi = builder.fsub(v01, v00), builder.fsub(v11, v10)
        low, high = _fma(builder, fx, low_xi, v00), _fma(builder, fx, high_xi, v10)
        d_eta = builder.fsub(high, low)
        value = _fma(builder, fy, d_eta, low)
        d_xi = _fma(builder, fy, builder.fsub(high_xi, low_xi), low_xi)
        lanes = [lane for vector in (value, d_xi, d_eta) for lane in _lanes(builder, vector)]
        return cgutils.pack_array(builder, lanes)

    return signature, codegen
