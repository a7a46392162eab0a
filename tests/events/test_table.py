"""EventTable: unique values and codes, dense and sparse, to Arrow and back."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.events.schema import BY_NAME, NAMES
from hikeshi.events.table import ARROW_SCHEMA, EventTable, Reject, TableBuilder, constant, encode, from_arrow
from hikeshi.events.time import NO_TIME


def table_of(*events: dict[str, object]) -> EventTable:
    builder = TableBuilder()
    for number, event in enumerate(events):
        builder.add(number * 1_000_000, event)
    return builder.build()


def test_absent_values_have_no_key():
    table = table_of({"host.name": "a", "X": "1"}, {"source.port": 5})
    assert list(table.iter_rows()) == [
        {"@timestamp": "1970-01-01T00:00:00Z", "host.name": "a", "X": "1"},
        {"@timestamp": "1970-01-01T00:00:01Z", "source.port": 5},
    ]


def test_an_unknown_time_has_no_key_and_is_null_in_arrow():
    table = EventTable(1, np.array([NO_TIME]), {"host.name": constant("a", 1)})
    assert table.row(0) == {"host.name": "a"}
    assert table.to_arrow().column("@timestamp").null_count == 1


def test_a_field_of_the_same_spelling_never_hides_a_column():
    table = EventTable(1, np.array([0]), {"message": constant("ours", 1)}, {"message": constant("theirs", 1)})
    assert table.row(0)["message"] == "ours"
    assert from_arrow(table.to_arrow()).fields["message"].values == ["theirs"]


def test_rows_where_gives_rows_of_dense_and_sparse_columns():
    dense = encode(["a", None, "b", "a"])
    sparse = encode(["a", "b"], np.array([3, 9], dtype=np.int32))
    wanted = lambda column: np.array([v == "a" for v in column.values])  # noqa: E731
    assert dense.rows_where(wanted(dense)).tolist() == [0, 3]
    assert sparse.rows_where(wanted(sparse)).tolist() == [3]
    assert encode([None, None]).rows_where(np.array([], dtype=bool)).tolist() == []


def test_take_keeps_the_given_order():
    table = table_of({"X": "0"}, {}, {"X": "2"})
    assert [row.get("X") for row in table.take(np.array([2, 1, 0])).iter_rows()] == ["2", None, "0"]


def test_rejects_belong_to_the_batch_they_were_seen_in():
    builder = TableBuilder()
    builder.reject(Reject("broken", line=7))
    assert builder.build().rejects == [Reject("broken", line=7)]
    assert builder.build().rejects == []


def test_every_schema_name_is_in_the_arrow_schema_once():
    assert sorted(ARROW_SCHEMA.names) == sorted([*NAMES, "fields"]) and len(BY_NAME) == len(NAMES)


values = st.dictionaries(
    st.sampled_from(["host.name", "source.port", "message", "X", "Überfeld", "日付"]),
    st.text(max_size=8).filter(lambda t: t.isprintable()), max_size=4)


@given(st.lists(values, max_size=12))
def test_arrow_and_back_changes_nothing(events):
    events = [{k: (len(v) if k == "source.port" else v) for k, v in e.items()} for e in events]
    table = table_of(*events)
    assert list(from_arrow(table.to_arrow()).iter_rows()) == list(table.iter_rows())


def test_parquet_and_back_changes_nothing(tmp_path):
    table = table_of({"host.name": "a", "X": "1", "Y": ""}, {"Z": "3"}, {"host.name": "b", "source.bytes": 7})
    pq.write_table(table.to_arrow(), tmp_path / "t.parquet")
    assert list(from_arrow(pq.read_table(tmp_path / "t.parquet")).iter_rows()) == list(table.iter_rows())


def test_a_slice_of_an_arrow_table_reads_its_own_rows():
    table = table_of(*({"host.name": str(n), "X": str(n % 3)} for n in range(20)))
    assert list(from_arrow(table.to_arrow().slice(7, 5)).iter_rows()) == list(table.iter_rows(range(7, 12)))
