"""The scanner as machine code: the same places as scan.py finds, some ten times faster.

Written for numba, which makes an object file of it once (kernel.py keeps that and loads it). Plain loops
over bytes and 64-bit words; no memory is asked for, nothing is raised, every array has a known end:
`data` is followed by at least PAD zero bytes.

Every dot begins the work on its token: right to its end, then left again, hashing as in scan.py; at each
dot on the way the hash is that of the name so far. Where tokens, dots and digits lie is known from masks of
64 bytes each (blocks.py), made by vector code; tokens with something odd about them go byte by byte.
"""

# mypy: ignore-errors
# Types are numba's business here: what it compiles is not what a type checker reads.
from __future__ import annotations

from typing import Any

import numpy as np

from hikeshi.sweep import blocks as sixty_four

PAD = 64
# Places in `numbers`, an int64 array
(N, KEY_SHIFT, TABLE_MASK, LAST_SHIFT, RANGES, RANGES6, FLAGS, PLAIN, RUNS, ROOM, FROM, DONE, LINES,
 LINE_FROM, BLOCKS, READY, LINE_ENDS) = range(17)
NUMBERS = 20
# Bits of FLAGS
WANT_LINES, HAS_V6, HAS_IDNA, LEAD_BYTES, NUMERIC_LAST, HAS_RUNS, HAS_V4 = (1 << n for n in range(7))
# Kinds of keys: bits of `kinds`
NAME, ADDRESS, TOKEN, MAIL, URL = (1 << n for n in range(5))
ANYWHERE = NAME | TOKEN
LONGEST = 300
TAIL = 64
# Rows of `out` that the tokens of one block may need; blocks whose masks are made in one go
SPARE = 1024
AHEAD = 64
RANGE_SLOT = -1
# Classes of bytes: bits of `classes`
IS_TOKEN, IS_ALNUM, IS_DIGIT, IS_TAIL, IS_HEX, IS_HIGH, IS_V6 = (1 << n for n in range(7))


def build(numba: Any) -> Any:
    """The two entry points as numba C callbacks: (find, find_plain)."""
    from numba import types

    njit = numba.njit(inline="never", error_model="numpy", boundscheck=False, fastmath=False)
    inline = numba.njit(error_model="numpy", boundscheck=False)
    u64, i64 = np.uint64, np.int64
    p = u64(0x9E3779B97F4A7C15 | 1)
    mixer = u64(0xBF58476D1CE4E5B9)
    p2, p3, p4 = (u64(pow(int(p), n, 1 << 64)) for n in (2, 3, 4))
    none, one, every = u64(0), u64(1), u64(0xFFFFFFFFFFFFFFFF)
    s29, six, low = u64(29), u64(6), u64(63)
    golden = u64(0xD6E8FEB86659FD93)

    block_masks, block_equal, block_high, ones, zeros_below, zeros_above = sixty_four.build(numba)

    @inline
    def mixed(h):
        h ^= h >> s29
        return h * mixer

    @inline
    def slot_of(h, filter_, table, numbers):
        """The slot of a fingerprint in the table, -1 if it is not there."""
        bit = h >> u64(numbers[KEY_SHIFT])
        if (filter_[bit >> six] >> (bit & low)) & u64(1) == none:
            return i64(-1)
        mask = u64(numbers[TABLE_MASK])
        at = h & mask
        while table[at] != none:
            if table[at] == h:
                return i64(at)
            at = (at + u64(1)) & mask
        return i64(-1)

    @inline
    def fingerprint(data, start, end, weights):
        h = none
        i = end
        while i > start:
            i -= 1
            h = weights[data[i]] + p * h
        return mixed(h)

    @inline
    def is_hex2(data, at, classes):
        return (classes[data[at]] & IS_HEX) != 0 and (classes[data[at + 1]] & IS_HEX) != 0

    @inline
    def past_escape(data, start, classes):
        """Where a token begins behind a percent sign: after its two digits, "25" any number of times."""
        at = start
        while data[at] == 50 and data[at + 1] == 53 and is_hex2(data, at + 2, classes):
            at += 2
        if is_hex2(data, at, classes):
            at += 2
        return at

    @inline
    def quad(data, start, end):
        """A dotted IPv4 address as a number, -1 if it is none."""
        if end - start < 7 or end - start > 15:
            return i64(-1)
        value = i64(0)
        part = i64(0)
        digits = 0
        parts = 0
        for i in range(start, end):
            c = data[i]
            if c == 46:
                if digits == 0 or part > 255 or parts == 3:
                    return i64(-1)
                value = value * 256 + part
                part = i64(0)
                digits = 0
                parts += 1
            else:
                if c < 48 or c > 57 or digits == 3:
                    return i64(-1)
                part = part * 10 + i64(c) - 48
                digits += 1
        if digits == 0 or part > 255 or parts != 3:
            return i64(-1)
        return value * 256 + part

    @inline
    def in_ranges(value, starts, ends, count):
        lo, hi = i64(0), count
        while lo < hi:
            mid = (lo + hi) >> 1
            if starts[mid] <= value:
                lo = mid + 1
            else:
                hi = mid
        return lo > 0 and ends[lo - 1] >= value

    @inline
    def address_hash(value):
        return mixed((u64(value) + u64(1)) * golden)

    @inline
    def less(ahi, alo, bhi, blo):
        return ahi < bhi or (ahi == bhi and alo < blo)

    @njit
    def v6_hit(data, start, end, numbers, filter_, table, ranges6):
        """Whether data[start:end] is an IPv6 address that is listed or inside a listed network."""
        hi, lo = none, none
        tail_hi, tail_lo = none, none
        groups = 0
        after = -1
        i = start
        while i < end:
            if data[i] == 58:
                if i + 1 < end and data[i + 1] == 58:
                    if after >= 0:
                        return False
                    after = groups
                    i += 2
                    continue
                if i == start or i + 1 == end:
                    return False
                i += 1
                continue
            value = u64(0)
            digits = 0
            j = i
            while j < end and data[j] != 58 and data[j] != 46:
                c = data[j]
                d = c - 48 if c <= 57 else (c | 32) - 87
                value = value * u64(16) + u64(d)
                digits += 1
                j += 1
            if j < end and data[j] == 46:
                four = quad(data, i, end)
                if four < 0 or groups > 6:
                    return False
                hi = (hi << u64(32)) | (lo >> u64(32))
                lo = (lo << u64(32)) | u64(four)
                groups += 2
                i = end
                break
            if digits == 0 or digits > 4 or groups == 8:
                return False
            hi = (hi << u64(16)) | (lo >> u64(48))
            lo = (lo << u64(16)) | value
            groups += 1
            i = j
            if i < end and i + 1 == end:
                return False
        if after < 0:
            if groups != 8:
                return False
        else:
            if groups > 7:
                return False
            # What stands behind "::" is already at the low end; what stands before it moves up.
            tail = groups - after
            if tail < 4:
                mask = (u64(1) << u64(16 * tail)) - u64(1)
                tail_lo = lo & mask
                tail_hi = none
            elif tail == 4:
                tail_lo = lo
                tail_hi = none
            else:
                mask = (u64(1) << u64(16 * (tail - 4))) - u64(1)
                tail_lo = lo
                tail_hi = hi & mask
            # The head as a number of its own: shift the tail out.
            for _ in range(tail):
                lo = (lo >> u64(16)) | (hi << u64(48))
                hi = hi >> u64(16)
            for _ in range(8 - after):
                hi = (hi << u64(16)) | (lo >> u64(48))
                lo = lo << u64(16)
            hi = hi | tail_hi
            lo = lo | tail_lo
        if hi == none and (lo >> u64(32)) == u64(0xFFFF):
            # An IPv4 address in IPv6 clothes
            return slot_of(address_hash(i64(lo & u64(0xFFFFFFFF))), filter_, table, numbers) >= 0
        if slot_of(mixed((hi + u64(7)) * golden ^ mixed(lo)), filter_, table, numbers) >= 0:
            return True
        count = numbers[RANGES6]
        for k in range(count):
            if not less(hi, lo, ranges6[4 * k], ranges6[4 * k + 1]) and not less(
                    ranges6[4 * k + 2], ranges6[4 * k + 3], hi, lo):
                return True
        return False

    @njit
    def token(data, dot, lower, classes, weights, filter_, table, kinds, last, starts, ends, numbers, out, count,
              until):
        """Work on the token around its first dot; gives how many stretches were written, its end in until[0].

        With WANT_LINES nothing is written: a count above `count` says that there is a hit."""
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        end = dot + 1
        while classes[data[end]] & IS_TOKEN:
            end += 1
        until[0] = end
        signs = 0
        while signs < TAIL and end > dot and classes[data[end - 1]] & IS_TAIL:
            end -= 1
            signs += 1
        if end <= dot:
            return count
        if classes[data[end - 1]] & IS_DIGIT:
            i = end - 1
            while i > lower and classes[data[i - 1]] & IS_DIGIT:
                i -= 1
            if data[i - 1] == 46 if i > lower else False:
                # The last label is a number: an IPv4 address or nothing.
                i = dot
                while i > lower and classes[data[i - 1]] & IS_DIGIT:
                    i -= 1
                if dot - i > 3 and not flags & NUMERIC_LAST and i > lower and not (
                        classes[data[i - 1]] & (IS_TOKEN | IS_HIGH)) and data[i - 1] != 37 and data[i - 1] != 92:
                    return count  # a number with a fraction
                i = dot
                while i > lower and end - i <= 80 and classes[data[i - 1]] & IS_TOKEN:
                    i -= 1
                if i > lower and data[i - 1] == 37:
                    i = past_escape(data, i, classes)
                for turn in range(2):
                    if turn == 1:
                        if not want_lines or not (i > lower and (data[i - 1] == 92 or (
                                flags & LEAD_BYTES and classes[data[i - 1]] & IS_HIGH))):
                            break
                        i = i + 5 if data[i] == 117 else i + 3 if data[i] == 120 else i + 1
                        if i >= end:
                            break
                    value = quad(data, i, end)
                    if value >= 0:
                        slot = slot_of(address_hash(value), filter_, table, numbers) if flags & HAS_V4 else i64(-1)
                        if slot >= 0:
                            if not want_lines:
                                out[3 * count] = i
                                out[3 * count + 1] = end
                                out[3 * count + 2] = slot
                            count += 1
                        if numbers[RANGES] > 0 and in_ranges(value, starts, ends, numbers[RANGES]):
                            if not want_lines:
                                out[3 * count] = i
                                out[3 * count + 1] = end
                                out[3 * count + 2] = RANGE_SLOT
                            count += 1
                if not flags & NUMERIC_LAST:
                    return count
        if numbers[TABLE_MASK] == 0:
            return count
        h = none
        i = end
        first = True
        while i > lower and end - i <= LONGEST:
            c = data[i - 1]
            if not classes[c] & IS_TOKEN:
                break
            if c == 46:
                m = mixed(h)
                if first:
                    bit = m >> u64(numbers[LAST_SHIFT])
                    if (last[bit >> six] >> (bit & low)) & u64(1) == none:
                        return count
                    first = False
                if end - i > 2:
                    slot = slot_of(m, filter_, table, numbers)
                    if slot >= 0:
                        if not want_lines:
                            out[3 * count] = i
                            out[3 * count + 1] = end
                            out[3 * count + 2] = slot
                            count += 1
                        elif kinds[slot] & ANYWHERE:
                            return count + 1
            h = weights[c] + p * h
            i -= 1
        if end - i > LONGEST:
            return count
        start = i
        escaped = i > lower and data[i - 1] == 37
        if escaped:
            start = past_escape(data, i, classes)
            if start >= end:
                return count
            h = fingerprint(data, start, end, weights)
        else:
            h = mixed(h)
        slot = slot_of(h, filter_, table, numbers)
        if slot >= 0 and start <= dot:
            if not want_lines:
                out[3 * count] = start
                out[3 * count + 1] = end
                out[3 * count + 2] = slot
                count += 1
            else:
                kind = kinds[slot]
                if kind & (ANYWHERE | ADDRESS | URL) or (kind & MAIL and start > lower and data[start - 1] == 64):
                    return count + 1
        if want_lines and i > lower:
            # Text in a quoted form: "\nname", "\u003cname"; the second byte of a wide character.
            before = data[i - 1]
            if before == 92 or (flags & LEAD_BYTES and classes[before] & IS_HIGH):
                start = i + 5 if data[i] == 117 else i + 3 if data[i] == 120 else i + 1
                for _ in range(2):
                    if start <= dot:
                        slot = slot_of(fingerprint(data, start, end, weights), filter_, table, numbers)
                        if slot >= 0:
                            return count + 1
                    start = i + 1
        return count

    @njit
    def run_of(data, at, lower, classes, weights, filter_, table, kinds, runs, numbers, out, count, until):
        """Work on the letters and digits around `at`; their end goes to until[0]."""
        end = at
        while classes[data[end]] & IS_ALNUM:
            end += 1
        until[0] = end
        start = at
        while start > lower and at - start < 600 and classes[data[start - 1]] & IS_ALNUM:
            start -= 1
        if start > lower and data[start - 1] == 37:
            start = past_escape(data, start, classes)
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        first = start
        for turn in range(3):
            if turn > 0:
                if not want_lines or not (first > lower and (data[first - 1] == 92 or (
                        flags & LEAD_BYTES and classes[data[first - 1]] & IS_HIGH))):
                    break
                start = first + 1 if turn == 1 else first + 5 if data[first] == 117 else first + 3
            for k in range(numbers[RUNS]):
                if runs[k] == end - start:
                    slot = slot_of(fingerprint(data, start, end, weights), filter_, table, numbers)
                    if slot >= 0:
                        if not want_lines:
                            out[3 * count] = start
                            out[3 * count + 1] = end
                            out[3 * count + 2] = slot
                        count += 1
        return count

    @njit
    def wide(data, at, lower, classes, until):
        """Whether the run of token bytes and foreign bytes around `at` holds a dot: a name in its own script?"""
        end = at
        while classes[data[end]] & (IS_TOKEN | IS_HIGH):
            end += 1
        until[0] = end
        start = at
        while start > lower and at - start < 600 and classes[data[start - 1]] & (IS_TOKEN | IS_HIGH):
            start -= 1
        for i in range(start, end):
            if data[i] == 46 or (data[i] == 0xEF and data[i + 1] == 0xBC and data[i + 2] == 0x8E) or (
                    data[i] == 0xE3 and data[i + 1] == 0x80 and data[i + 2] == 0x82):
                return True
        return False

    @njit
    def six_at(data, at, lower, classes, numbers, filter_, table, ranges6, until):
        """Whether the run of hexadecimal digits, colons and dots around a colon is a wanted address."""
        end = at
        while classes[data[end]] & IS_V6:
            end += 1
        until[0] = end
        start = at
        while start > lower and at - start < 64 and classes[data[start - 1]] & IS_V6:
            start -= 1
        while end > start and (data[end - 1] == 46 or (
                data[end - 1] == 58 and end - 2 >= start and data[end - 2] != 58)):
            end -= 1
        while start < end and (data[start] == 46 or (data[start] == 58 and data[start + 1] != 58)):
            start += 1
        seen = 0
        double = False
        dot = i64(-1)
        for i in range(start, min(end, start + 64)):
            if data[i] == 58:
                seen += 1
                double = double or (i + 1 < end and data[i + 1] == 58)
            elif data[i] == 46 and dot < 0:
                dot = i
        if not double and seen < 6:
            return False
        if v6_hit(data, start, end, numbers, filter_, table, ranges6):
            return True
        return dot >= 0 and v6_hit(data, start, dot, numbers, filter_, table, ranges6)

    @njit
    def line_of(data, at, numbers, out, count):
        """Write the line around `at`; gives its end. Counts the line ends passed since the last one."""
        passed = i64(0)
        for i in range(numbers[LINE_FROM], at):
            passed += data[i] == 10
        numbers[LINES] += passed
        start = at
        while start > 0 and data[start - 1] != 10:
            start -= 1
        end = at
        n = numbers[N]
        while end < n and data[end] != 10:
            end += 1
        numbers[LINE_FROM] = end
        out[3 * count] = start
        out[3 * count + 1] = end
        out[3 * count + 2] = numbers[LINES]
        return end

    @njit
    def look_at(data, upto, numbers, masks):
        """Make the masks of all blocks up to and with that one; some more, for what a token goes on into."""
        room = numbers[BLOCKS]
        at = numbers[READY]
        stop = min(upto + AHEAD, numbers[N] + 63 >> 6)
        passed = i64(0)
        while at < stop:
            token_bits, dot_bits, digit_bits, end_bits = block_masks(data, at << 6)
            if numbers[N] - (at << 6) < 64:
                # What follows in the buffer is not looked at now.
                ours = (one << u64(numbers[N] - (at << 6))) - one
                token_bits &= ours
                dot_bits &= ours
                digit_bits &= ours
                end_bits &= ours
            masks[at] = token_bits
            masks[room + at] = dot_bits
            masks[2 * room + at] = digit_bits
            passed += ones(end_bits)
            at += 1
        numbers[READY] = at
        numbers[LINE_ENDS] += passed

    @inline
    def from_here(masks, block, bit):
        """The 64 bits from a place on."""
        return (masks[block] >> bit) | ((masks[block + 1] << (low - bit)) << one)

    @inline
    def up_to_here(masks, block, bit):
        """The 64 bits up to a place, its own the highest."""
        return (masks[block] << (low - bit)) | ((masks[block - 1] >> bit) >> one)

    @inline
    def hashed(data, start, end, h, weights):
        """The hash going on to the left over data[start:end]."""
        i = end
        while i - 4 >= start:
            h = (h * p4 + weights[data[i - 1]] * p3) + (weights[data[i - 2]] * p2 + weights[data[i - 3]] * p) + (
                weights[data[i - 4]])
            i -= 4
        while i > start:
            i -= 1
            h = weights[data[i]] + p * h
        return h

    @inline
    def octet(data, start, end):
        """A number of one to three digits."""
        value = i64(data[end - 1]) - 48
        if end - start > 1:
            value += 10 * (i64(data[end - 2]) - 48)
        if end - start > 2:
            value += 100 * (i64(data[end - 3]) - 48)
        return value

    @njit
    def common(data, dot, lower, masks, classes, weights, filter_, table, kinds, last, starts, ends, numbers, out,
               count, until):
        """token() for the usual token, by its masks: none that is long, begins or ends oddly; -1 for those."""
        block, bit = dot >> 6, u64(dot & 63)
        if block == 0:
            return i64(-1)
        room = numbers[BLOCKS]
        size = zeros_below(~from_here(masks, block, bit))
        lead = zeros_above(~up_to_here(masks, block, bit))
        start, end = dot - lead + 1, dot + size
        if size >= 64 or lead >= 64 or start <= lower or classes[data[end - 1]] & IS_TAIL:
            return i64(-1)
        before = data[start - 1]
        if before == 37 or before == 92 or before > 127:
            return i64(-1)
        until[0] = end
        inside = (one << u64(size)) - one
        dot_bits = from_here(masks, room + block, bit) & inside
        last_dot = dot + 63 - zeros_above(dot_bits)
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        digit_bits = from_here(masks, 2 * room + block, bit) & inside
        label = inside & ~((u64(2) << u64(last_dot - dot)) - one)
        if digit_bits & label == label:
            # The last label is a number: an IPv4 address or nothing.
            if flags & NUMERIC_LAST:
                return i64(-1)
            if ones(dot_bits) != 3 or lead > 4 or lead < 2 or digit_bits | dot_bits != inside:
                return count
            rest = dot_bits & (dot_bits - one)
            second = dot + zeros_below(rest)
            front = up_to_here(masks, 2 * room + block, bit)
            fronts = (one << u64(lead - 1)) - one
            if (front >> u64(64 - lead)) & fronts != fronts or u64(second - dot - 2) > u64(2) or u64(
                    last_dot - second - 2) > u64(2) or u64(end - last_dot - 2) > u64(2):
                return count
            a, b = octet(data, start, dot), octet(data, dot + 1, second)
            c, d = octet(data, second + 1, last_dot), octet(data, last_dot + 1, end)
            if a > 255 or b > 255 or c > 255 or d > 255:
                return count
            value = (a << 24) | (b << 16) | (c << 8) | d
            slot = slot_of(address_hash(value), filter_, table, numbers) if flags & HAS_V4 else i64(-1)
            if slot >= 0:
                if not want_lines:
                    out[3 * count] = start
                    out[3 * count + 1] = end
                    out[3 * count + 2] = slot
                count += 1
            if numbers[RANGES] > 0 and in_ranges(value, starts, ends, numbers[RANGES]):
                if not want_lines:
                    out[3 * count] = start
                    out[3 * count + 1] = end
                    out[3 * count + 2] = RANGE_SLOT
                count += 1
            return count
        if numbers[TABLE_MASK] == 0:
            return count
        h = hashed(data, last_dot + 1, end, none, weights)
        m = mixed(h)
        known = m >> u64(numbers[LAST_SHIFT])
        if (last[known >> six] >> (known & low)) & one == none:
            return count
        at = last_dot
        while True:
            if end - at > 3:
                slot = slot_of(m, filter_, table, numbers)
                if slot >= 0:
                    if not want_lines:
                        out[3 * count] = at + 1
                        out[3 * count + 1] = end
                        out[3 * count + 2] = slot
                        count += 1
                    elif kinds[slot] & ANYWHERE:
                        return count + 1
            dot_bits ^= one << u64(at - dot)
            next_dot = start - 1
            if dot_bits != none:
                next_dot = dot + 63 - zeros_above(dot_bits)
            h = hashed(data, next_dot + 1, at, weights[46] + p * h, weights)
            m = mixed(h)
            at = next_dot
            if dot_bits == none:
                break
        slot = slot_of(m, filter_, table, numbers)
        if slot >= 0:
            if not want_lines:
                out[3 * count] = start
                out[3 * count + 1] = end
                out[3 * count + 2] = slot
                count += 1
            else:
                kind = kinds[slot]
                if kind & (ANYWHERE | ADDRESS | URL) or (kind & MAIL and before == 64):
                    return count + 1
        return count

    @inline
    def letters_of(data, masks, room, block):
        """Letters and digits: token bytes but for their three signs."""
        token_bits = masks[block]
        signs = block_equal(data, block << 6, np.uint8(45)) | block_equal(data, block << 6, np.uint8(95))
        return token_bits & ~masks[room + block] & ~signs

    @inline
    def doubled(bits, length, before):
        """Places where runs end that are twice as long."""
        return bits & ((bits << length) | (before >> (u64(64) - length)))

    byte_pointer, word_pointer, int_pointer = (types.CPointer(t) for t in (types.uint8, types.uint64, types.int64))
    signature = types.int64(byte_pointer, word_pointer, byte_pointer, word_pointer, word_pointer, word_pointer,
                            byte_pointer, word_pointer, int_pointer, int_pointer, word_pointer, int_pointer,
                            int_pointer, int_pointer, int_pointer)

    @numba.cfunc(signature, error_model="numpy")
    def find(data, masks, classes, weights, filter_, table, kinds, last, starts, ends, ranges6, lengths, numbers,
             out, until):
        """Stretches or lines of data[FROM:N] into `out`, three numbers each; DONE says how far it came."""
        n = numbers[N]
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        hashes, v6, idna = (flags & HAS_RUNS) != 0, (flags & HAS_V6) != 0, (flags & HAS_IDNA) != 0
        room = numbers[ROOM] - SPARE
        blocks = numbers[BLOCKS]
        lower = numbers[FROM] if want_lines else i64(0)
        covered = numbers[FROM]
        run_covered = v6_covered = wide_covered = covered
        count = i64(0)
        w = covered >> 6
        total = (n + 63) >> 6
        fresh = True
        r1 = r2 = r4 = r8 = r16 = none
        while w < total:
            if w + 1 >= numbers[READY]:
                look_at(data, w, numbers, masks)
            base = w << 6
            hit = n
            found = masks[blocks + w]
            if covered > base:
                found = none if covered >= base + 64 else found & (every << u64(covered - base))
            while found != none:
                place = base + zeros_below(found)
                got = common(data, place, lower, masks, classes, weights, filter_, table, kinds, last, starts, ends,
                             numbers, out, count, until)
                if got < 0:
                    got = token(data, place, lower, classes, weights, filter_, table, kinds, last, starts, ends,
                                numbers, out, count, until)
                if want_lines and got > count:
                    hit = place
                    break
                count = got
                covered = until[0]
                if covered >= base + 64:
                    break
                found &= every << u64(covered - base)
            if hashes:
                # Letters and digits, 32 and more in a row, may be a hash.
                if fresh:
                    r1 = r2 = r4 = r8 = r16 = none
                    if w > 0:
                        r1 = letters_of(data, masks, blocks, w - 1)
                        r2 = doubled(r1, one, none)
                        r4 = doubled(r2, u64(2), none)
                        r8 = doubled(r4, u64(4), none)
                        r16 = doubled(r8, u64(8), none)
                    fresh = False
                b1 = letters_of(data, masks, blocks, w)
                b2 = doubled(b1, one, r1)
                b4 = doubled(b2, u64(2), r2)
                b8 = doubled(b4, u64(4), r4)
                b16 = doubled(b8, u64(8), r8)
                found = doubled(b16, u64(16), r16)
                r1, r2, r4, r8, r16 = b1, b2, b4, b8, b16
                while found != none:
                    place = base + zeros_below(found)
                    if place >= hit:
                        break
                    if place >= run_covered:
                        got = run_of(data, place, i64(0), classes, weights, filter_, table, kinds, lengths, numbers,
                                     out, count, until)
                        if want_lines and got > count:
                            hit = place
                            break
                        count = got
                        run_covered = until[0]
                    if run_covered >= base + 64:
                        break
                    found &= every << u64(max(run_covered - base, place - base + 1))
            if v6:
                found = block_equal(data, base, np.uint8(58))
                while found != none:
                    place = base + zeros_below(found)
                    found &= found - one
                    if place >= hit:
                        break
                    if place < v6_covered:
                        continue
                    if six_at(data, place, i64(0), classes, numbers, filter_, table, ranges6, until):
                        hit = place
                        break
                    v6_covered = until[0]
            if idna:
                found = block_high(data, base)
                while found != none:
                    place = base + zeros_below(found)
                    found &= found - one
                    if place >= hit:
                        break
                    if place < wide_covered:
                        continue
                    if wide(data, place, i64(0), classes, until):
                        hit = place
                        break
                    wide_covered = until[0]
            if hit < n:
                end = line_of(data, hit, numbers, out, count)
                count += 1
                # The line is known: the rest of it says nothing new.
                covered = run_covered = v6_covered = wide_covered = end
                w = end >> 6
                fresh = True
                if count >= room and end < n:
                    numbers[DONE] = end
                    return count
                continue
            w += 1
            if count >= room and w < total:
                # Begins anew with the next block; what reaches into it is found a second time.
                numbers[DONE] = max(w << 6, covered) if want_lines else w << 6
                return count
        look_at(data, total, numbers, masks)
        numbers[DONE] = n
        return count

    @numba.cfunc(signature, error_model="numpy")
    def find_plain(data, masks, classes, weights, filter_, table, kinds, last, starts, ends, ranges6, lengths,
                   numbers, out, until):
        """Like `find`, for keys without a dot that are no hashes: every token is looked at."""
        n = numbers[N]
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        room = numbers[ROOM] - SPARE
        i = numbers[FROM]
        count = i64(0)
        while i < n:
            if not classes[data[i]] & IS_TOKEN:
                i += 1
                continue
            begin = i
            dotted = False
            while classes[data[i]] & IS_TOKEN:
                dotted = dotted or data[i] == 46
                i += 1
            end = i
            signs = 0
            while signs < TAIL and end - begin > 1 and classes[data[end - 1]] & IS_TAIL:
                end -= 1
                signs += 1
            if dotted:
                dotted = False
                for k in range(begin, end):
                    if data[k] == 46:
                        dotted = True
                        break
                if dotted:
                    continue
            first = begin
            if begin > 0 and data[begin - 1] == 37:
                first = past_escape(data, begin, classes)
            hit = False
            for turn in range(3):
                start = first
                if turn > 0:
                    if not want_lines or not (begin > 0 and (data[begin - 1] == 92 or (
                            flags & LEAD_BYTES and classes[data[begin - 1]] & IS_HIGH))):
                        break
                    start = begin + 1 if turn == 1 else begin + 5 if data[begin] == 117 else begin + 3
                for k in range(numbers[PLAIN]):
                    if lengths[k] == end - start:
                        slot = slot_of(fingerprint(data, start, end, weights), filter_, table, numbers)
                        if slot >= 0:
                            hit = True
                            if not want_lines:
                                out[3 * count] = start
                                out[3 * count + 1] = end
                                out[3 * count + 2] = slot
                                count += 1
            if hit and want_lines:
                i = line_of(data, begin, numbers, out, count)
                count += 1
            if count >= room:
                numbers[DONE] = i
                return count
        numbers[DONE] = n
        return count

    return find, find_plain
