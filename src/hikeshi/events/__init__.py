"""The event table that every parser fills and every stage reads.

schema.py  every column, once: name, type, meaning
table.py   EventTable: columns of unique values and codes; batches, Arrow, Parquet
leases.py  who had an address when, from lease logs
time.py    UTC microseconds; zones; the times logs write
"""
