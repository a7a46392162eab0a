"""What a rule names fits the column that keeps it: SQLite takes any length, PostgreSQL refuses."""

from __future__ import annotations

import pytest
from django.db import models

from hikeshi_desk.cases import rules
from hikeshi_desk.cases.models import Case, Clock, Referral, Task, TriageDecision


@pytest.mark.parametrize(("model", "column", "codes"), [
    (Case, "rsit", rules.rsit), (TriageDecision, "rsit", rules.rsit), (TriageDecision, "urgency_rule", rules.urgency_rules),
    (Clock, "rule", rules.clocks), (Task, "kind", rules.tasks), (Referral, "body", rules.bodies),
    (Referral, "reason_code", rules.reasons)])
def test_every_code_fits_its_column(model, column, codes):
    longest = model._meta.get_field(column).max_length
    assert codes() and [code for code in codes() if len(code) > longest] == []


def test_every_choice_fits_its_column():
    for model in (Case, Clock, Referral, Task, TriageDecision):
        for field in model._meta.get_fields():
            if isinstance(field, models.CharField) and field.choices:
                assert all(len(str(value)) <= field.max_length for value, _ in field.flatchoices), field
