"""What was acknowledged from the spool becomes a row and a case later, once."""

from __future__ import annotations

import pytest

from hikeshi_desk.cases.models import Case
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Payload, submit
from hikeshi_desk.serve import take_in


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"


@pytest.mark.django_db
def test_a_submission_without_a_row_gets_its_case_once():
    payload = Payload(channel="web", what="画面に身代金の要求が出ました", request="first_steps", anonymous=True)
    submit(payload, idempotency_key="a-key-that-is-long-enough")
    Submission.objects.all().delete()
    for _ in range(2):
        take_in()
        assert (Submission.objects.count(), Case.objects.count()) == (1, 1)
