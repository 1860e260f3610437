"""Kernels compiled by numba: where they are cached, and vectors of neighbouring slices that stay in registers.

numba's own loops reload their sums at every step. Here a sum over rows or views of ``LANES`` slices is one value of the
LLVM vector type, so that the compiler keeps it in registers on every processor (AVX-512, AVX2, NEON).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from atomseg_app import places

os.environ.setdefault("NUMBA_CACHE_DIR", str(places.cache_folder() / "numba"))  # read when numba is imported

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 32
"""Slices that a kernel works on at once: two AVX-512 registers, enough to hide the reckoning of positions."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Decorator of kernels: compiled once, cached on disk, and run beside others as they let go of the interpreter."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function)
    return cast(_Function, compiled)


def _instruction(function: Callable[..., Any]) -> Any:
    """Decorator of what kernels call to work on lanes."""
    return intrinsic(function)


class Lanes(types.Type):
    """numba type of ``LANES`` float32 in registers."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


_LANES = Lanes()
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """How LLVM holds it."""

    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _VECTOR)  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to the vector that begins at element ``index`` of a contiguous float32 array."""
    proxy: Any = cgutils.create_struct_proxy(array_type)  # type: ignore[no-untyped-call]
    data = proxy(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _filled(builder: Any, number: Any) -> Any:
    """Vector with a number in every lane."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    same = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), same)


@_instruction
def zeros(typing_context: Any) -> Any:
    """Zero in every lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return _LANES(), code


@_instruction
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """The ``LANES`` elements from flat ``index`` of a contiguous float32 array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=4)

    return _LANES(array, types.int64), code


@_instruction
def store(typing_context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write ``LANES`` elements from flat ``index`` of a contiguous float32 array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_value, index_value, value = arguments
        builder.store(value, _pointer(context, builder, signature.args[0], array_value, index_value), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, _LANES), code


@_instruction
def add_scaled(typing_context: Any, total: Any, factor: Any, lanes: Any) -> Any:
    """``total + factor * lanes``, in one instruction where the processor has one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total_value, number, value = arguments
        product = builder.fmul(_filled(builder, number), value, flags=("contract",))
        return builder.fadd(total_value, product, flags=("contract",))

    return _LANES(_LANES, types.float32, _LANES), code


@_instruction
def plus(typing_context: Any, one: Any, other: Any) -> Any:
    """Sum of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return _LANES(_LANES, _LANES), code


@_instruction
def times(typing_context: Any, one: Any, other: Any) -> Any:
    """Product of two, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return _LANES(_LANES, _LANES), code


@_instruction
def at_least(typing_context: Any, lanes: Any, least: Any) -> Any:
    """Every lane raised to ``least`` where it is below."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, number = arguments
        floor = _filled(builder, number)
        return builder.select(builder.fcmp_ordered("<", value, floor), floor, value)

    return _LANES(_LANES, types.float32), code
