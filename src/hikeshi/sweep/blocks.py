"""Sixty-four bytes of a text as numbers of sixty-four bits: which of them are dots, digits, line ends and so on.

Made for numba as pieces of vector code; what has no vectors gets the same answers from plain instructions.
"""

# mypy: ignore-errors
# Types are numba's business here: what it compiles is not what a type checker reads.
from __future__ import annotations

from typing import Any, NamedTuple


class Blocks(NamedTuple):
    """`masks(data, at)` gives (token bytes, dots, digits, line ends) of data[at:at+64], the first byte lowest;
    `equal(data, at, byte)` the bytes of one value, `high(data, at)` those of 128 and more. `ones`, `zeros_below`
    and `zeros_above` count the ones of a number, the zeros below its lowest and above its highest one."""

    masks: Any
    equal: Any
    high: Any
    ones: Any
    zeros_below: Any
    zeros_above: Any


def build(numba: Any) -> Blocks:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    byte, word, bits = ir.IntType(8), ir.IntType(64), ir.VectorType(ir.IntType(1), 64)
    vector = ir.VectorType(byte, 64)

    def load(builder, data, at):
        place = builder.bitcast(builder.gep(data, [at]), ir.PointerType(vector))
        out = builder.load(place)
        out.align = 1
        return out

    def each(value):
        return ir.Constant(vector, [ir.Constant(byte, value)] * 64)

    def spread(builder, value):
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        picks = ir.Constant(ir.VectorType(ir.IntType(32), 64), [ir.Constant(ir.IntType(32), 0)] * 64)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), picks)

    def number(builder, mask):
        assert mask.type == bits
        return builder.bitcast(mask, word)

    @intrinsic
    def masks(typing, data, at):
        def code(context, builder, signature, arguments):
            v = load(builder, *arguments)
            dot = builder.icmp_unsigned("==", v, each(46))
            digit = builder.icmp_unsigned("<", builder.sub(v, each(48)), each(10))
            letter = builder.icmp_unsigned("<", builder.sub(builder.or_(v, each(32)), each(97)), each(26))
            sign = builder.or_(builder.icmp_unsigned("==", v, each(45)), builder.icmp_unsigned("==", v, each(95)))
            token = builder.or_(builder.or_(dot, digit), builder.or_(letter, sign))
            line_end = builder.icmp_unsigned("==", v, each(10))
            return context.make_tuple(
                builder, signature.return_type, [number(builder, m) for m in (token, dot, digit, line_end)])

        return types.UniTuple(types.uint64, 4)(data, types.int64), code

    @intrinsic
    def equal(typing, data, at, value):
        def code(context, builder, signature, arguments):
            v = load(builder, arguments[0], arguments[1])
            return number(builder, builder.icmp_unsigned("==", v, spread(builder, arguments[2])))

        return types.uint64(data, types.int64, types.uint8), code

    @intrinsic
    def high(typing, data, at):
        def code(context, builder, signature, arguments):
            return number(builder, builder.icmp_signed("<", load(builder, *arguments), each(0)))

        return types.uint64(data, types.int64), code

    def counter(name):
        @intrinsic
        def one(typing, value):
            def code(context, builder, signature, arguments):
                if name == "ctpop":
                    return builder.ctpop(arguments[0])
                return getattr(builder, name)(arguments[0], ir.Constant(ir.IntType(1), 0))

            return types.int64(types.uint64), code

        return one

    return Blocks(masks, equal, high, counter("ctpop"), counter("cttz"), counter("ctlz"))
