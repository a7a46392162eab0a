"""Many texts looked for in many values at once, as machine code: the same pairs as pyahocorasick gives.

An Aho-Corasick automaton over bytes. Edges lie in one hash table, a 64-bit word each: node and byte, and where they
lead; those of the root lie apart. `make` builds it from the words, `find` walks a text whose values stand between
zero bytes and writes each pair of word and value once. No memory is asked for, every array has a known end.
"""

# mypy: ignore-errors
# Types are numba's business here: what it compiles is not what a type checker reads.
from __future__ import annotations

from typing import Any

import numpy as np

ARGUMENTS = 10
# Places in `state`, an int64 array
(WORDS, NODES, EDGE_MASK, LONGEST, SIZE, POS, NODE, VALUE, ROOM) = range(9)
STATE = 16
NODE_BITS = 27
MOST_NODES = (1 << NODE_BITS) - 1
# A node: where it falls back to, the word that ends here or -1, the next node on the way back with such a word,
# how deep it lies, from where and by which byte it is reached
FAIL, WORD, NEXT, DEPTH, PARENT, BYTE = range(6)
NODE_SIZE = 6


def build(numba: Any) -> Any:
    """The entry points as numba C callbacks: (make, find)."""
    from numba import types

    inline = numba.njit(error_model="numpy", boundscheck=False)
    njit = numba.njit(inline="never", error_model="numpy", boundscheck=False, fastmath=False)
    i64, u64 = np.int64, np.uint64

    @inline
    def slot_of(key, mask):
        h = u64(key) * u64(0x9E3779B97F4A7C15)
        return i64(h >> u64(29)) & mask

    @inline
    def edge(edges, mask, node, byte):
        """Where the edge leads, or -1."""
        key = (node << 8 | byte) + 1
        slot = slot_of(key, mask)
        while edges[slot] != 0:
            if edges[slot] >> NODE_BITS == key:
                return edges[slot] & MOST_NODES
            slot = (slot + 1) & mask
        return i64(-1)

    @njit
    def step(edges, roots, nodes, mask, node, byte):
        """The node after one more byte."""
        while node != 0:
            to = edge(edges, mask, node, byte)
            if to >= 0:
                return to
            node = i64(nodes[NODE_SIZE * node + FAIL])
        return i64(roots[byte])

    bytes_, longs, ints = (types.CPointer(t) for t in (types.uint8, types.int64, types.int32))
    signature = types.int64(bytes_, longs, longs, ints, ints, longs, longs, ints, longs, longs)

    @numba.cfunc(signature, error_model="numpy")
    def make(text, state, edges, roots, nodes, starts, numbers, seen, order, pairs):
        """The automaton of the words text[starts[n]:starts[n + 1]], called numbers[n]; `order` is scratch with a
        place for each node, `pairs` one for each depth."""
        mask = state[EDGE_MASK]
        count = i64(1)
        nodes[FAIL] = 0
        nodes[WORD] = -1
        nodes[NEXT] = 0
        nodes[DEPTH] = 0
        for w in range(state[WORDS]):
            node = i64(0)
            for p in range(starts[w], starts[w + 1]):
                byte = i64(text[p])
                to = i64(roots[byte]) if node == 0 else edge(edges, mask, node, byte)
                if to <= 0:
                    to = count
                    count += 1
                    n = NODE_SIZE * to
                    nodes[n + FAIL] = 0
                    nodes[n + WORD] = -1
                    nodes[n + NEXT] = 0
                    nodes[n + DEPTH] = nodes[NODE_SIZE * node + DEPTH] + 1
                    nodes[n + PARENT] = node
                    nodes[n + BYTE] = byte
                    if node == 0:
                        roots[byte] = to
                    else:
                        key = (node << 8 | byte) + 1
                        slot = slot_of(key, mask)
                        while edges[slot] != 0:
                            slot = (slot + 1) & mask
                        edges[slot] = key << NODE_BITS | to
                node = to
            nodes[NODE_SIZE * node + WORD] = numbers[w]
        # Nodes by depth: what a node falls back to lies higher.
        for d in range(state[LONGEST] + 2):
            pairs[d] = 0
        for n in range(count):
            pairs[nodes[NODE_SIZE * n + DEPTH] + 1] += 1
        for d in range(state[LONGEST] + 1):
            pairs[d + 1] += pairs[d]
        for n in range(count):
            d = nodes[NODE_SIZE * n + DEPTH]
            order[pairs[d]] = n
            pairs[d] += 1
        for i in range(1, count):
            n = NODE_SIZE * order[i]
            if nodes[n + DEPTH] > 1:
                back = i64(nodes[NODE_SIZE * nodes[n + PARENT] + FAIL])
                nodes[n + FAIL] = step(edges, roots, nodes, mask, back, i64(nodes[n + BYTE]))
            fail = nodes[n + FAIL]
            nodes[n + NEXT] = fail if nodes[NODE_SIZE * fail + WORD] >= 0 else nodes[NODE_SIZE * fail + NEXT]
        state[NODES] = count
        return count

    @numba.cfunc(signature, error_model="numpy")
    def find(text, state, edges, roots, nodes, starts, numbers, seen, order, pairs):
        """Pairs word << 32 | value of text[POS:SIZE], each once; stops where there may be no more room."""
        mask = state[EDGE_MASK]
        size = state[SIZE]
        room = state[ROOM] - state[LONGEST] - 1
        node = state[NODE]
        value = state[VALUE]
        p = state[POS]
        count = i64(0)
        while p < size and count < room:
            byte = i64(text[p])
            node = step(edges, roots, nodes, mask, node, byte)
            at = node if nodes[NODE_SIZE * node + WORD] >= 0 else i64(nodes[NODE_SIZE * node + NEXT])
            while at != 0:
                word = i64(nodes[NODE_SIZE * at + WORD])
                owner = value if value > 0 else i64(1)
                if seen[word] != owner:
                    seen[word] = owner
                    pairs[count] = word << 32 | (owner - 1)
                    count += 1
                at = i64(nodes[NODE_SIZE * at + NEXT])
            if byte == 0:
                value += 1
            p += 1
        state[NODE] = node
        state[VALUE] = value
        state[POS] = p
        return count

    return make, find
