"""Containment of a case: what is to be done, how far it has come, who decided, and what the asker was asked for.

models.py     rows: the response of a case, its measures, their marks, decisions on a cut-off
kinds.py      what kinds of measures there are, and the fixed ones every case begins with
propose.py    measures out of the case's analysis (in a job)
acts.py       every act: mark, undo, add, withdraw, release, plan, decide
plans.py      the victim's own facts, as hikeshi.respond.plan knows them
lists.py      block lists to load, made from the measures that stand
page.py       pages, prepared
asked.py      what the asker sees of it and reports
"""
