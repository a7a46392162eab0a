"""The scanner as machine code: the same places as scan.py finds, some ten times faster.

Written for numba, which makes an object file of it once (kernel.py keeps that and loads it). Plain loops
over bytes and 64-bit words; no memory is asked for, nothing is raised, every array has a known end:
`data` is followed by at least PAD zero bytes.

Every dot begins the work on its token: right to its end, then left again, hashing as in scan.py; at each
dot on the way the hash is that of the name so far. Words of eight bytes without a dot cost a few operations.
"""

# mypy: ignore-errors
# Types are numba's business here: what it compiles is not what a type checker reads.
from __future__ import annotations

from typing import Any

import numpy as np

PAD = 64
# Places in `numbers`, an int64 array
(N, KEY_SHIFT, TABLE_MASK, LAST_SHIFT, RANGES, RANGES6, FLAGS, PLAIN, RUNS, ROOM, FROM, DONE, LINES,
 LINE_FROM) = range(14)
NUMBERS = 16
# Bits of FLAGS
WANT_LINES, HAS_V6, HAS_IDNA, LEAD_BYTES, NUMERIC_LAST, HAS_RUNS, HAS_V4 = (1 << n for n in range(7))
# Kinds of keys: bits of `kinds`
NAME, ADDRESS, TOKEN, MAIL, URL = (1 << n for n in range(5))
ANYWHERE = NAME | TOKEN
LONGEST = 300
TAIL = 64
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
    sevens, highs = u64(0x7F7F7F7F7F7F7F7F), u64(0x8080808080808080)
    dots, zeros, colons = u64(0x2E2E2E2E2E2E2E2E), u64(0x3030303030303030), u64(0x3A3A3A3A3A3A3A3A)
    none = u64(0)
    s29, six, low = u64(29), u64(6), u64(63)
    golden = u64(0xD6E8FEB86659FD93)

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
                while i > lower and end - i <= 16 and classes[data[i - 1]] & IS_TOKEN:
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

    byte_pointer, word_pointer, int_pointer = (types.CPointer(t) for t in (types.uint8, types.uint64, types.int64))
    signature = types.int64(byte_pointer, word_pointer, byte_pointer, word_pointer, word_pointer, word_pointer,
                            byte_pointer, word_pointer, int_pointer, int_pointer, word_pointer, int_pointer,
                            int_pointer, int_pointer, int_pointer)

    @numba.cfunc(signature, error_model="numpy")
    def find(data, words, classes, weights, filter_, table, kinds, last, starts, ends, ranges6, lengths, numbers,
             out, until):
        """Stretches or lines of data[FROM:N] into `out`, three numbers each; DONE says how far it came."""
        n = numbers[N]
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        hashes, v6, idna = (flags & HAS_RUNS) != 0, (flags & HAS_V6) != 0, (flags & HAS_IDNA) != 0
        room = numbers[ROOM] - 80
        covered = numbers[FROM]
        run_covered = v6_covered = wide_covered = covered
        full = 0
        count = i64(0)
        w = covered >> 3
        total = (n + 7) >> 3
        while w < total:
            v = words[w]
            base = w << 3
            x = v ^ dots
            found = ~(((x & sevens) + sevens) | x | sevens)
            # Eight bytes that all could be letters or digits; three such words in a row may be a hash.
            if (v & highs) == none and (((v | highs) - zeros) & highs) == highs:
                full += 1
            else:
                full = 0
            hit = i64(-1)
            while found != none:
                place = base
                bit = found & (~found + u64(1))
                found ^= bit
                while bit > u64(0x80):
                    bit >>= u64(8)
                    place += 1
                if place < covered or place >= n:
                    continue
                before = count
                count = token(data, place, numbers[FROM] if want_lines else i64(0), classes, weights, filter_, table,
                              kinds, last, starts, ends, numbers, out, count, until)
                if want_lines and count > before:
                    count = before
                    hit = place
                    break
                covered = until[0]
            if hashes and hit < 0 and full >= 3 and base > run_covered + 16:
                before = count
                count = run_of(data, base - 16, i64(0), classes, weights, filter_, table, kinds, lengths, numbers,
                               out, count, until)
                run_covered = until[0]
                if want_lines and count > before:
                    count = before
                    hit = base - 16
            if v6 and hit < 0:
                x = v ^ colons
                found = ~(((x & sevens) + sevens) | x | sevens)
                while found != none:
                    place = base
                    bit = found & (~found + u64(1))
                    found ^= bit
                    while bit > u64(0x80):
                        bit >>= u64(8)
                        place += 1
                    if place < v6_covered or place >= n:
                        continue
                    if six_at(data, place, i64(0), classes, numbers, filter_, table, ranges6, until):
                        hit = place
                        break
                    v6_covered = until[0]
            if idna and hit < 0 and (v & highs) != none and base + 8 > wide_covered:
                place = max(base, wide_covered)
                while place < base + 8 and data[place] < 128:
                    place += 1
                if place < base + 8 and place < n:
                    if wide(data, place, i64(0), classes, until):
                        hit = place
                    wide_covered = until[0]
            if hit >= 0:
                end = line_of(data, hit, numbers, out, count)
                count += 1
                # The line is known: the rest of it says nothing new.
                covered = run_covered = v6_covered = wide_covered = end
                full = 0
                w = end >> 3
                if count >= room:
                    numbers[DONE] = end
                    return count
                continue
            w += 1
            if count >= room:
                numbers[DONE] = covered
                return count
        numbers[DONE] = n
        return count

    @numba.cfunc(signature, error_model="numpy")
    def find_plain(data, words, classes, weights, filter_, table, kinds, last, starts, ends, ranges6, lengths,
                   numbers, out, until):
        """Like `find`, for keys without a dot that are no hashes: every token is looked at."""
        n = numbers[N]
        flags = numbers[FLAGS]
        want_lines = (flags & WANT_LINES) != 0
        room = numbers[ROOM] - 80
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
