"""The desk: people, cases, clocks and approvals, on Django.

audit/     who did what, as a hash chain
accounts/  organisations, people, roles; access.py is the only way to an object
intake/    submit(): one door for every channel; spool, receipt codes
cases/     cases, conversation, triage, clocks, queue, search
analysis/  evidence of a case through hikeshi's triage, and what the case shows of it
consult/   the consulting side: public pages, receipt, answers by code
mail/      mail in (IMAP, LMTP, pipe) and out

An app may import the apps above it in this list, never those below.
"""
