"""Records of EVTX chunks straight into numbered values, as machine code.

Written for numba, which makes an object file of it once (hikeshi/machine.py keeps that and loads it). Input is
hostile: every place is compared with its end before it is read, no memory is asked for, nothing is raised. What is
not exactly as expected makes the chunk odd: it is undone, and the `evtx` package reads it instead.

`read` walks the records of chunks that are sound by their checksums. A template definition is written out with
its names resolved and numbered by its content; the plan of that number says which substitution goes to which
column. Every value is looked up by column, type and bytes in one hash table, compared byte by byte; what is stored
is its number within the column. `lay` sorts these numbers by column, `text` writes out strings one after the other.
"""

# mypy: ignore-errors
# Types are numba's business here: what it compiles is not what a type checker reads.
from __future__ import annotations

from typing import Any

import numpy as np

ARGUMENTS = 16
CHUNK = 65536
# Places in `state`, an int64 array
(CHUNKS, AT, ROWS, ROOM_ROWS, CELLS, ROOM_CELLS, ENTRIES, ROOM_ENTRIES, ARENA, ROOM_ARENA, SLOT_MASK, SEED, TEMPLATES,
 ROOM_TEMPLATES, FORMS, ROOM_FORMS, LIMIT, WHICH, ROLE, TEMPLATE_MASK, LOCALS) = range(21)
STATE = 32
# What `read` answers: all chunks done, or LIMIT rows reached; the chunk AT is odd; no room left; a template without
# a plan
DONE, ODD, FULL, PLAN = range(4)
# Where an entry of the hash table lies: ENTRY numbers each
E_START, E_LENGTH, E_KEY, E_CODE, E_SLOT = range(5)
ENTRY = 5
# A row: first cell, time (FILETIME), record number, number in the record's header
ROW = 4
# A template: start and length of its canonical form, its hash; then for each role state, first step, end of steps,
# first constant, end of constants; then the substitutions that are time, number and body, and the body's role
T_START, T_LENGTH, T_HASH, T_ROLE, T_TIME, T_NUMBER, T_BODY, T_BODY_ROLE = 0, 1, 2, 3, 18, 19, 20, 21
TEMPLATE = 22
UNKNOWN, READY, REFUSED = range(3)
# Roles: around all; in its body; in its body within UserData
EVENT, BODY, USER_BODY = range(3)
# A step: substitution, column, what null leaves, what an empty text leaves, the type of an array (see evtx_plans)
STEP = 5
# A constant: column, start and length in `texts` (its first SCRATCH bytes are where definitions are written out)
CONSTANT = 3
# Results of looking a value up
NO_ROOM, CROWDED = -1, -2
MOST_VALUES = 256
# `counts`: values of each column, then whether a text of it ends before its bytes do
COLUMNS = 1 << 14
SCRATCH = 1 << 16
LONGEST_PROBE = 256
MOST_LOCAL = 1024
MOST_NAMES = 4096


def build(numba: Any) -> Any:
    """The entry points as numba C callbacks: (read, lay, text)."""
    from numba import types

    njit = numba.njit(inline="never", error_model="numpy", boundscheck=False, fastmath=False)
    inline = numba.njit(error_model="numpy", boundscheck=False)
    u64, i64 = np.uint64, np.int64
    k1, k2 = u64(0x9E3779B97F4A7C15), u64(0xD6E8FEB86659FD93)
    s32, s29 = u64(32), u64(29)

    @inline
    def word2(d, p):
        return i64(d[p]) | i64(d[p + 1]) << 8

    @inline
    def word4(d, p):
        return i64(d[p]) | i64(d[p + 1]) << 8 | i64(d[p + 2]) << 16 | i64(d[p + 3]) << 24

    @inline
    def word8(d, p):
        return (u64(d[p]) | u64(d[p + 1]) << u64(8) | u64(d[p + 2]) << u64(16) | u64(d[p + 3]) << u64(24)
                | u64(d[p + 4]) << u64(32) | u64(d[p + 5]) << u64(40) | u64(d[p + 6]) << u64(48)
                | u64(d[p + 7]) << u64(56))

    @inline
    def hashed(d, p, n, seed):
        h = u64(seed) ^ (u64(n) * k1)
        end = p + n
        while p + 8 <= end:
            h = (h ^ word8(d, p)) * k1
            h ^= h >> s32
            h *= k2
            h ^= h >> s29
            p += 8
        tail = u64(0)
        while p < end:
            tail = tail << u64(8) | u64(d[p])
            p += 1
        h = (h ^ tail) * k1
        h ^= h >> s32
        h *= k2
        return h ^ (h >> s29)

    @inline
    def same(a, p, b, q, n):
        end = p + n
        while p + 8 <= end:
            if word8(a, p) != word8(b, q):
                return False
            p += 8
            q += 8
        while p < end:
            if a[p] != b[q]:
                return False
            p += 1
            q += 1
        return True

    @njit
    def sound_text(d, p, n):
        """Whether UTF-16 text holds no half of a pair alone."""
        end = p + n
        while p + 8 <= end:
            if (d[p + 1] & 0xF8 == 0xD8 or d[p + 3] & 0xF8 == 0xD8 or d[p + 5] & 0xF8 == 0xD8
                    or d[p + 7] & 0xF8 == 0xD8):
                break
            p += 8
        while p < end:
            high = d[p + 1]
            if high & 0xFC == 0xDC:
                return False
            if high & 0xFC == 0xD8:
                p += 2
                if p >= end or d[p + 1] & 0xFC != 0xDC:
                    return False
            p += 2
        return True

    @njit
    def holds_zero(d, p, n):
        """Whether UTF-16 text holds a zero."""
        end = p + n
        while p < end:
            if d[p] == 0 and d[p + 1] == 0:
                return True
            p += 2
        return False

    @njit
    def intern(d, p, n, column, kind, state, arena, slots, entries, counts):
        """The code of a value in its column; NO_ROOM or CROWDED if it can't be stored."""
        key = column << 8 | kind
        h = hashed(d, p, n, state[SEED] ^ (key * i64(0x2545F4914F6CDD1D)))
        mask = state[SLOT_MASK]
        slot = i64(h >> u64(8)) & mask
        tag = i64(h >> s32) & 0x7FFFFFFF
        probes = 0
        while True:
            held = slots[slot]
            if held == 0:
                break
            if held >> 32 == tag:
                e = ((held & 0xFFFFFFFF) - 1) * ENTRY
                if entries[e + E_KEY] == key and entries[e + E_LENGTH] == n and same(
                        arena, entries[e + E_START], d, p, n):
                    return entries[e + E_CODE]
            slot = (slot + 1) & mask
            probes += 1
            if probes > LONGEST_PROBE:
                return i64(CROWDED)
        number = state[ENTRIES]
        start = state[ARENA]
        if number >= state[ROOM_ENTRIES] or start + n + 8 > state[ROOM_ARENA]:
            return i64(NO_ROOM)
        for i in range(n):
            arena[start + i] = d[p + i]
        e = number * ENTRY
        code = counts[column]
        entries[e + E_START] = start
        entries[e + E_LENGTH] = n
        entries[e + E_KEY] = key
        entries[e + E_CODE] = code
        entries[e + E_SLOT] = slot
        counts[column] = code + 1
        slots[slot] = tag << 32 | (number + 1)
        state[ENTRIES] = number + 1
        state[ARENA] = start + n
        return code

    @njit
    def undo(state, slots, entries, counts, number, arena_end):
        """Forget the entries from `number` on, the last first: the table is then what it was."""
        at = state[ENTRIES] - 1
        while at >= number:
            e = at * ENTRY
            slots[entries[e + E_SLOT]] = 0
            counts[entries[e + E_KEY] >> 8] -= 1
            at -= 1
        state[ENTRIES] = number
        state[ARENA] = arena_end

    @njit
    def canonical(d, base, off, out):
        """Write a definition out with its names; gives the length of that, or -1 if it is not plain."""
        if off < 512 or off + 28 > CHUNK:
            return i64(-1)
        size = word4(d, base + off + 20)
        if size < 5 or off + 24 + size > CHUNK:
            return i64(-1)
        pos = off + 24
        end = pos + size
        if d[base + pos] != 0x0F or d[base + pos + 1] != 1 or d[base + pos + 2] != 1 or d[base + pos + 3] != 0:
            return i64(-1)
        pos += 4
        o = i64(0)
        depth = 0
        roots = 0
        tag = False
        while True:
            if pos >= end or o + 16 > SCRATCH:
                return i64(-1)
            token = d[base + pos]
            kind = token & 0xBF
            if kind == 0x01 or kind == 0x06:
                if kind == 0x01:
                    if tag or pos + 11 > end:
                        return i64(-1)
                    out[o] = token
                    out[o + 1] = d[base + pos + 1]
                    out[o + 2] = d[base + pos + 2]
                    o += 3
                    name = word4(d, base + pos + 7)
                    pos += 11
                    tag = True
                    depth += 1
                    roots += depth == 1
                    if depth > 24 or roots > 1:
                        return i64(-1)
                else:
                    if not tag or pos + 5 > end:
                        return i64(-1)
                    out[o] = token
                    o += 1
                    name = word4(d, base + pos + 1)
                    pos += 5
                if name < 512 or name > pos or name + 10 > CHUNK:
                    return i64(-1)
                length = word2(d, base + name + 6)
                if name + 10 + 2 * length > CHUNK or length == 0 or length > 512:
                    return i64(-1)
                if o + 2 * length + 16 > SCRATCH:
                    return i64(-1)
                if not sound_text(d, base + name + 8, 2 * length):
                    return i64(-1)
                out[o] = length & 255
                out[o + 1] = length >> 8
                for i in range(2 * length):
                    c = d[base + name + 8 + i]
                    out[o + 2 + i] = c
                    if i & 1 and c == 0 and out[o + 1 + i] == 0:
                        return i64(-1)
                o += 2 + 2 * length
                if name == pos:
                    pos += 10 + 2 * length
                if kind == 0x01 and token & 0x40:
                    pos += 4
                if pos > end:
                    return i64(-1)
            elif kind == 0x05:
                if pos + 4 > end or d[base + pos + 1] != 1:
                    return i64(-1)
                length = word2(d, base + pos + 2)
                if pos + 4 + 2 * length > end or o + 2 * length + 16 > SCRATCH or depth == 0:
                    return i64(-1)
                if not sound_text(d, base + pos + 4, 2 * length):
                    return i64(-1)
                out[o] = token
                out[o + 1] = length & 255
                out[o + 2] = length >> 8
                for i in range(2 * length):
                    out[o + 3 + i] = d[base + pos + 4 + i]
                o += 3 + 2 * length
                pos += 4 + 2 * length
            elif token == 0x0D or token == 0x0E:
                if pos + 4 > end or depth == 0 or word2(d, base + pos + 1) >= MOST_VALUES:
                    return i64(-1)
                for i in range(4):
                    out[o + i] = d[base + pos + i]
                o += 4
                pos += 4
            elif token == 0x02:
                if not tag:
                    return i64(-1)
                tag = False
                out[o] = token
                o += 1
                pos += 1
            elif token == 0x03 or token == 0x04:
                if tag != (token == 0x03) or depth == 0:
                    return i64(-1)
                tag = False
                depth -= 1
                out[o] = token
                o += 1
                pos += 1
            elif token == 0x00:
                if depth != 0 or roots != 1 or pos + 1 != end:
                    return i64(-1)
                return o
            else:
                return i64(-1)

    @njit
    def template(d, base, off, state, templates, forms, index, scratch):
        """The number of the definition at `off`, by its content; -1 if it is not plain or there is no room."""
        n = canonical(d, base, off, scratch)
        if n < 0:
            return i64(-1)
        h = i64(hashed(scratch, i64(0), n, state[SEED]) >> u64(1))
        mask = state[TEMPLATE_MASK]
        slot = h & mask
        while index[slot] != 0:
            number = index[slot] - 1
            t = number * TEMPLATE
            if templates[t + T_HASH] == h and templates[t + T_LENGTH] == n and same(
                    forms, templates[t + T_START], scratch, i64(0), n):
                return number
            slot = (slot + 1) & mask
        number = state[TEMPLATES]
        start = state[FORMS]
        if number >= state[ROOM_TEMPLATES] or start + n > state[ROOM_FORMS]:
            return i64(-1)
        for i in range(n):
            forms[start + i] = scratch[i]
        t = number * TEMPLATE
        for i in range(TEMPLATE):
            templates[t + i] = 0
        templates[t + T_START] = start
        templates[t + T_LENGTH] = n
        templates[t + T_HASH] = h
        index[slot] = number + 1
        state[TEMPLATES] = number + 1
        state[FORMS] = start + n
        return number

    @inline
    def fits(kind, n):
        """Whether a value of this type has the size it must have."""
        if kind == 0x01:
            return n & 1 == 0
        if kind == 0x03 or kind == 0x04:
            return n == 1
        if kind == 0x05 or kind == 0x06:
            return n == 2
        if kind == 0x07 or kind == 0x08 or kind == 0x14 or kind == 0x0D:
            return n == 4
        if kind == 0x09 or kind == 0x0A or kind == 0x15 or kind == 0x11:
            return n == 8
        if kind == 0x0F:
            return n == 16
        if kind == 0x13:
            return n >= 8 and n <= 68 and (n & 3) == 0
        if kind == 0x81:
            return n & 1 == 0
        if kind == 0x10:
            return n == 4 or n == 8
        return kind == 0x0E or kind == 0x21

    @njit
    def instance(d, base, pos, end, state, templates, forms, index, scratch, local, values, at):
        """Read a template instance in [pos, end) of the chunk: its number, or -1. Its values' places go to
        values[at:], three numbers each (place, size, type), their count and the end of all before them."""
        if pos + 14 > end:
            return i64(-1)
        if (d[base + pos] != 0x0F or d[base + pos + 1] != 1 or d[base + pos + 2] != 1 or d[base + pos + 3] != 0
                or d[base + pos + 4] != 0x0C or d[base + pos + 5] != 1):
            return i64(-1)
        off = word4(d, base + pos + 10)
        pos += 14
        if off == pos:
            number = template(d, base, off, state, templates, forms, index, scratch)
            if number < 0:
                return i64(-1)
            if state[LOCALS] >= MOST_LOCAL:
                return i64(-1)
            local[CHUNK + state[LOCALS]] = off
            state[LOCALS] += 1
            local[off] = number + 1
            pos += 24 + word4(d, base + off + 20)
        else:
            if off < 512 or off >= CHUNK:
                return i64(-1)
            number = i64(local[off]) - 1
            if number < 0:
                return i64(-1)
        if pos + 4 > end:
            return i64(-1)
        count = word4(d, base + pos)
        pos += 4
        if count > MOST_VALUES or pos + 4 * count > end:
            return i64(-1)
        place = pos + 4 * count
        values[at] = count
        for i in range(count):
            size = word2(d, base + pos + 4 * i)
            v = at + 2 + 3 * i
            kind = i64(d[base + pos + 4 * i + 2])
            # The package goes on behind what it has read, whatever the size says: sizes must be those of the types.
            if size == 0:
                if kind != 0x00 and kind != 0x01 and kind != 0x0E and kind != 0x21 and kind != 0x81:
                    return i64(-1)
            elif not fits(kind, size) or place + size > end:
                return i64(-1)
            elif kind == 0x81:
                # Read up to a zero, wherever that is.
                if d[base + place + size - 1] != 0 or d[base + place + size - 2] != 0:
                    return i64(-1)
            elif kind == 0x13 and d[base + place + 1] * 4 + 8 != size:
                return i64(-1)
            values[v] = place
            values[v + 1] = size
            values[v + 2] = kind
            place += size
        if place > end:
            return i64(-1)
        values[at + 1] = place
        # The stream ends behind the values.
        if place < end and d[base + place] != 0:
            return i64(-1)
        return number

    @njit
    def odd_value(d, p, n, kind):
        """Of a value met for the first time: whether the package may say something of its own about it."""
        if kind == 0x01:
            return (d[p] == 0 and d[p + 1] == 0) or not sound_text(d, p, n)
        if kind == 0x81 or kind == 0x82:
            return not sound_text(d, p, n)
        if kind == 0x0D:
            return d[p] > 1 or d[p + 1] != 0 or d[p + 2] != 0 or d[p + 3] != 0
        if kind == 0x13:
            return d[p] != 1 or d[p + 2] != 0 or d[p + 3] != 0
        if kind == 0x11:
            w = i64(word8(d, p))
            return w < 1_000_000 or w > 2_650_000_000_000_000_000
        return False

    @njit
    def cells_of(d, base, number, role, values, at, state, arena, slots, entries, counts, templates, steps, constants,
                 texts, cells):
        """The values of one instance: DONE, ODD or FULL."""
        r = number * TEMPLATE + T_ROLE + 5 * role
        count = values[at]
        for s in range(templates[r + 1], templates[r + 2]):
            n = steps[STEP * s]
            column = steps[STEP * s + 1]
            if n >= count:
                return i64(ODD)
            v = at + 2 + 3 * n
            place = base + values[v]
            size = values[v + 1]
            kind = values[v + 2]
            if size == 0:
                if kind == 0:
                    left = steps[STEP * s + 2]
                elif kind == 0x01 or kind == 0x0E or kind == 0x81:
                    left = steps[STEP * s + 3]
                else:
                    return i64(ODD)
                if left < 0:
                    continue
                kind = i64(1)
            elif kind == 0x81:
                kind = steps[STEP * s + 4]
                if kind == 0:
                    return i64(ODD)
            before = state[ENTRIES]
            code = intern(d, place, size, column, kind, state, arena, slots, entries, counts)
            if code < 0:
                return i64(FULL) if code == NO_ROOM else i64(ODD)
            if state[ENTRIES] != before and size > 0:
                if odd_value(d, place, size, kind):
                    return i64(ODD)
                if kind == 1 and holds_zero(d, place, size):
                    counts[COLUMNS + column] = 1
            if state[CELLS] >= state[ROOM_CELLS]:
                return i64(FULL)
            cells[state[CELLS]] = column << 32 | code
            state[CELLS] += 1
        for c in range(templates[r + 3], templates[r + 4]):
            k = CONSTANT * c
            code = intern(texts, constants[k + 1], constants[k + 2], constants[k], i64(1), state, arena, slots, entries,
                          counts)
            if code < 0:
                return i64(FULL) if code == NO_ROOM else i64(ODD)
            if state[CELLS] >= state[ROOM_CELLS]:
                return i64(FULL)
            cells[state[CELLS]] = constants[k] << 32 | code
            state[CELLS] += 1
        return i64(DONE)

    @njit
    def record(d, base, pos, size, state, arena, slots, entries, counts, templates, forms, index, steps, constants,
               texts, local, cells, rows, scratch, values):
        """One record of the chunk: DONE, ODD, FULL or PLAN."""
        end = pos + size - 4
        number = instance(d, base, pos + 24, end, state, templates, forms, index, scratch, local, values, i64(0))
        if number < 0:
            return i64(ODD)
        t = number * TEMPLATE
        known = templates[t + T_ROLE]
        if known != READY:
            state[WHICH] = number
            state[ROLE] = EVENT
            return i64(PLAN) if known == UNKNOWN else i64(ODD)
        body = templates[t + T_BODY]
        inner = i64(-1)
        behind = 2 + 3 * MOST_VALUES
        for i in range(values[0]):
            if values[2 + 3 * i + 2] == 0x21 and values[2 + 3 * i + 1] > 0:
                if i != body:
                    return i64(ODD)
                start = values[2 + 3 * i]
                inner = instance(d, base, start, start + values[2 + 3 * i + 1], state, templates, forms, index, scratch,
                                 local, values, i64(behind))
                if inner < 0:
                    return i64(ODD)
            elif i == body and values[2 + 3 * i + 1] > 0:
                return i64(ODD)
        time = templates[t + T_TIME]
        count = values[0]
        if time >= count or values[2 + 3 * time + 2] != 0x11 or values[2 + 3 * time + 1] != 8:
            return i64(ODD)
        which = templates[t + T_NUMBER]
        if which >= count or values[2 + 3 * which + 2] != 0x0A or values[2 + 3 * which + 1] != 8:
            return i64(ODD)
        stamp = word8(d, base + values[2 + 3 * time])
        if stamp < u64(1_000_000) or stamp > u64(2_650_000_000_000_000_000):
            return i64(ODD)
        own = word8(d, base + values[2 + 3 * which])
        head = word8(d, base + pos + 8)
        if own >> u64(62) != u64(0) or head >> u64(62) != u64(0):
            return i64(ODD)
        if inner >= 0:
            role = templates[t + T_BODY_ROLE]
            known = templates[inner * TEMPLATE + T_ROLE + 5 * role]
            if known != READY:
                state[WHICH] = inner
                state[ROLE] = role
                return i64(PLAN) if known == UNKNOWN else i64(ODD)
            for i in range(values[behind]):
                if values[behind + 2 + 3 * i + 2] == 0x21 and values[behind + 2 + 3 * i + 1] > 0:
                    return i64(ODD)
        row = state[ROWS]
        if row >= state[ROOM_ROWS]:
            return i64(FULL)
        rows[ROW * row] = state[CELLS]
        rows[ROW * row + 1] = i64(stamp)
        rows[ROW * row + 2] = i64(own)
        rows[ROW * row + 3] = i64(head)
        said = cells_of(d, base, number, i64(EVENT), values, i64(0), state, arena, slots, entries, counts, templates,
                        steps, constants, texts, cells)
        if said == DONE and inner >= 0:
            said = cells_of(d, base, inner, templates[t + T_BODY_ROLE], values, i64(behind), state, arena, slots,
                            entries, counts, templates, steps, constants, texts, cells)
        if said == DONE:
            state[ROWS] = row + 1
        return said

    @njit
    def sound_names(d, base):
        """Whether the chunk's table of names leads to names only."""
        steps = 0
        for bucket in range(64):
            at = word4(d, base + 128 + 4 * bucket)
            while at != 0:
                steps += 1
                if steps > MOST_NAMES or at < 128 or at + 10 > CHUNK or at + 10 + 2 * word2(d, base + at + 6) > CHUNK:
                    return False
                if not sound_text(d, base + at + 8, 2 * word2(d, base + at + 6)):
                    return False
                at = word4(d, base + at)
        return True

    @njit
    def chunk(d, base, state, arena, slots, entries, counts, templates, forms, index, steps, constants, texts, local,
              cells, rows, scratch, values):
        """One chunk: DONE, ODD, FULL or PLAN."""
        free = word4(d, base + 48)
        if free < 512 or free > CHUNK:
            return i64(ODD)
        if not sound_names(d, base):
            return i64(ODD)
        last = word8(d, base + 32)
        pos = i64(512)
        while pos < free:
            if pos + 28 > free:
                return i64(ODD)
            if d[base + pos] != 0x2A or d[base + pos + 1] != 0x2A or d[base + pos + 2] != 0 or d[base + pos + 3] != 0:
                return i64(ODD)
            size = word4(d, base + pos + 4)
            # The package refuses a record whose header has no date.
            if word8(d, base + pos + 16) > u64(2_650_000_000_000_000_000):
                return i64(ODD)
            if size < 60 or pos + size > free or word4(d, base + pos + size - 4) != size:
                return i64(ODD)
            said = record(d, base, pos, size, state, arena, slots, entries, counts, templates, forms, index, steps,
                          constants, texts, local, cells, rows, scratch, values)
            if said != DONE:
                return said
            if word8(d, base + pos + 8) == last:
                break
            pos += size
        return i64(DONE)

    byte_pointer, int_pointer, short_pointer = (types.CPointer(t) for t in (types.uint8, types.int64, types.int32))
    signature = types.int64(byte_pointer, int_pointer, byte_pointer, int_pointer, int_pointer, int_pointer, int_pointer,
                            byte_pointer, int_pointer, int_pointer, int_pointer, byte_pointer, short_pointer,
                            int_pointer, int_pointer, int_pointer)

    @numba.cfunc(signature, error_model="numpy")
    def read(d, state, arena, slots, entries, counts, templates, forms, index, steps, constants, texts, local, cells,
             rows, values):
        """The chunks from AT to CHUNKS; gives DONE, or why it stopped before the chunk AT."""
        while state[AT] < state[CHUNKS] and state[ROWS] < state[LIMIT]:
            row, cell, number, arena_end = state[ROWS], state[CELLS], state[ENTRIES], state[ARENA]
            state[LOCALS] = 0
            said = chunk(d, state[AT] * CHUNK, state, arena, slots, entries, counts, templates, forms, index, steps,
                         constants, texts, local, cells, rows, texts, values)
            for i in range(state[LOCALS]):
                local[local[CHUNK + i]] = 0
            if said != DONE:
                state[ROWS] = row
                state[CELLS] = cell
                undo(state, slots, entries, counts, number, arena_end)
                return said
            state[AT] += 1
        return i64(DONE)

    @numba.cfunc(signature, error_model="numpy")
    def lay(d, state, arena, slots, entries, starts, templates, forms, index, steps, constants, texts, out_rows, cells,
            rows, out_codes):
        """Cells sorted by column: starts[column] says where each begins, and ends up where it ends. `index`
        holds the row of each of ours; out_codes takes two codes an int64."""
        for row in range(state[ROWS]):
            stop = rows[ROW * (row + 1)] if row + 1 < state[ROWS] else state[CELLS]
            for c in range(rows[ROW * row], stop):
                cell = cells[c]
                column = cell >> 32
                at = starts[column]
                starts[column] = at + 1
                out_rows[at] = index[row]
                out_codes[at] = cell & 0xFFFFFFFF
        return i64(0)

    @numba.cfunc(signature, error_model="numpy")
    def text(out, state, arena, slots, entries, wanted, templates, forms, index, steps, constants, texts, local, cells,
             rows, values):
        """The strings of the entries wanted[:CHUNKS], cut at their first zero, each with a zero behind it; gives
        the bytes written."""
        at = i64(0)
        for w in range(state[CHUNKS]):
            e = wanted[w] * ENTRY
            p = entries[e + E_START]
            end = p + entries[e + E_LENGTH]
            while p + 1 < end and (arena[p] != 0 or arena[p + 1] != 0):
                out[at] = arena[p]
                out[at + 1] = arena[p + 1]
                at += 2
                p += 2
            out[at] = 0
            out[at + 1] = 0
            at += 2
        return at

    return read, lay, text
