"""Kernels compiled by numba: where they are cached, and vectors of neighbouring slices that stay in registers.

numba's own loops reload their sums at every step. Here a sum over rows or views of 16 or 32 slices is one value of an
LLVM vector type, so that the compiler keeps it in registers on every processor (AVX-512, AVX2, NEON).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from atomseg_app import places

os.environ.setdefault("NUMBA_CACHE_DIR", str(places.cache_folder() / "numba"))  # read when numba is imported

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANE_COUNTS = (16, 32)
"""Slices that kernels work on at once: one or two AVX-512 registers, so that reckoning positions costs little."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Decorator of kernels: compiled once, cached on disk, and run beside others as they let go of the interpreter."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function)
    return cast(_Function, compiled)


def _instruction(function: Callable[..., Any]) -> Any:
    """Decorator of what kernels call to work on lanes."""
    return intrinsic(function)


def lanes_dtype(count: int) -> np.dtype[Any]:
    """Type of one pixel of ``count`` slices; arrays of it tell kernels at compile time how many there are."""
    return np.dtype([("lanes", np.float32, (count,))])


class Lanes(types.Type):
    """numba type of ``count`` float32 in registers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


def _vector(lanes: Any) -> Any:
    """LLVM's type of them."""
    return ir.VectorType(ir.FloatType(), lanes.count)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """How LLVM holds them."""

    def __init__(self, manager: Any, lanes: Any) -> None:
        super().__init__(manager, lanes, _vector(lanes))  # type: ignore[no-untyped-call]


def _lanes_of(pixels: Any) -> Lanes:
    """Lanes of an array of :func:`lanes_dtype`."""
    return Lanes(pixels.dtype.size // 4)


def _pointer(context: Any, builder: Any, pixels_type: Any, pixels: Any, index: Any) -> Any:
    """Pointer to the lanes of a pixel of a contiguous array."""
    proxy: Any = cgutils.create_struct_proxy(pixels_type)  # type: ignore[no-untyped-call]
    data = proxy(context, builder, value=pixels).data
    return builder.bitcast(builder.gep(data, [index]), _vector(_lanes_of(pixels_type)).as_pointer())


def _filled(builder: Any, number: Any, lanes: Any) -> Any:
    """Vector with a number in every lane."""
    nothing = ir.Constant(_vector(lanes), ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), None))


@_instruction
def zeros(typing_context: Any, pixels: Any) -> Any:
    """Zero in every lane of what pixels have."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_vector(signature.return_type), None)

    return _lanes_of(pixels)(pixels), code


@_instruction
def load(typing_context: Any, pixels: Any, index: Any) -> Any:
    """Lanes of one pixel."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=4)

    return _lanes_of(pixels)(pixels, types.int64), code


@_instruction
def store(typing_context: Any, pixels: Any, index: Any, lanes: Any) -> Any:
    """Write the lanes of one pixel."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels_value, index_value, value = arguments
        builder.store(value, _pointer(context, builder, signature.args[0], pixels_value, index_value), align=4)
        return context.get_dummy_value()

    return types.void(pixels, types.int64, lanes), code


@_instruction
def add_scaled(typing_context: Any, total: Any, factor: Any, lanes: Any) -> Any:
    """``total + factor * lanes``, in one instruction where the processor has one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total_value, number, value = arguments
        product = builder.fmul(_filled(builder, number, signature.return_type), value, flags=("contract",))
        return builder.fadd(total_value, product, flags=("contract",))

    return total(total, types.float32, lanes), code


@_instruction
def plus(typing_context: Any, one: Any, other: Any) -> Any:
    """Sum of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return one(one, other), code


@_instruction
def times(typing_context: Any, one: Any, other: Any) -> Any:
    """Product of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return one(one, other), code


@_instruction
def at_least(typing_context: Any, lanes: Any, least: Any) -> Any:
    """Every lane raised to ``least`` where it is below."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, number = arguments
        floor = _filled(builder, number, signature.return_type)
        return builder.select(builder.fcmp_ordered("<", value, floor), floor, value)

    return lanes(lanes, types.float32), code


@_instruction
def minus(typing_context: Any, one: Any, other: Any) -> Any:
    """Difference of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments)

    return one(one, other), code


@_instruction
def over(typing_context: Any, one: Any, other: Any) -> Any:
    """Quotient of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fdiv(*arguments)

    return one(one, other), code


@_instruction
def greater(typing_context: Any, one: Any, other: Any) -> Any:
    """The greater of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second = arguments
        return builder.select(builder.fcmp_ordered(">", first, second), first, second)

    return one(one, other), code


@_instruction
def root(typing_context: Any, lanes: Any) -> Any:
    """Square root of every lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, name = _vector(signature.return_type), f"llvm.sqrt.v{signature.return_type.count}f32"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)  # type: ignore[no-untyped-call]
        return builder.call(function, arguments)

    return lanes(lanes), code
