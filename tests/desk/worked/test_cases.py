"""The demo's desk: real evidence through the one door, each role sees its part, and the code opens the thread."""

from __future__ import annotations

import uuid

import django
import pytest

django.setup()

from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from hikeshi.demo import scenarios, write_scenario  # noqa: E402
from hikeshi.errors import UsageError  # noqa: E402
from hikeshi_desk.accounts.models import User  # noqa: E402
from hikeshi_desk.analysis.service import analyse_now  # noqa: E402
from hikeshi_desk.audit.log import verify  # noqa: E402
from hikeshi_desk.cases.models import Attachment, Case, Message, OpinionPoint  # noqa: E402
from hikeshi_desk.worked import cases  # noqa: E402

pytestmark = [pytest.mark.django_db, pytest.mark.urls("hikeshi_desk.worked.urls")]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worked")
    for scenario in scenarios():
        write_scenario(scenario.name, folder / scenario.name / "evidence")
    return {scenario.name: folder / scenario.name / "evidence" for scenario in scenarios()}


@pytest.fixture
def own_folders(settings, tmp_path):
    settings.SPOOL, settings.EVIDENCE, settings.DATA = tmp_path / "spool", tmp_path / "evidence", tmp_path
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def opened(own_folders, evidence):
    return cases.fill(evidence)


def enter(path: str) -> Client:
    client = Client()
    assert "架空" in client.get(path).content.decode()
    assert client.post(path).status_code == 302
    return client


def test_every_worked_incident_has_its_case():
    assert {one["scenario"] for one in cases.told()} == {scenario.name for scenario in scenarios()}


def test_each_role_sees_its_part(opened):
    ransomware, theft, shell = (Case.objects.get(incident=kind) for kind in ("ransomware", "targeted", "web_compromise"))
    assert ransomware.is_anonymous and not ransomware.asker_name and ransomware.urgency == "high"
    assert shell.on_behalf and OpinionPoint.objects.filter(case=shell).count() == 2
    assert all(case.verdict == "true" and case.clocks.exists() for case in (ransomware, theft, shell))
    assert Message.objects.filter(case=ransomware, kind="asker").count() == 2
    for case in (ransomware, theft, shell):
        assert Attachment.objects.filter(case=case, name__endswith=".zip").exists()
    assert verify() is None

    assert analyse_now(ransomware.pk).summary
    handler = enter(opened.handler)
    page = handler.get(reverse("cases:case", args=[ransomware.pk])).content.decode()
    assert "Medusa" in page and "FS01" in page and "spread" in page
    queue = handler.get(reverse("cases:queue")).content.decode()
    assert all(case.number in queue for case in (ransomware, theft, shell))

    partner = enter(opened.partner)
    queue = partner.get(reverse("cases:queue")).content.decode()
    assert theft.number in queue and ransomware.number not in queue and shell.number not in queue
    page = partner.get(reverse("cases:case", args=[theft.pk])).content.decode()
    assert "架空製作所" not in page and "請求書" not in page and "evidence.zip" not in page and "kakuu" not in page
    assert partner.get(reverse("cases:case", args=[ransomware.pk])).status_code == 404
    assert enter(opened.lead).get(reverse("accounts:people")).status_code == 200

    asker = Client()
    answer = asker.post(reverse("consult:code"), {"code": opened.code}, follow=True)
    assert "バックアップ装置をネットワークから切り離してください" in answer.content.decode()
    assert "脅迫文の名前から" not in answer.content.decode()  # a note stays inside


def test_a_link_works_once_and_its_look_uses_nothing_up(opened):
    for _ in range(3):
        assert Client().get(opened.handler).status_code == 200
    assert Client(enforce_csrf_checks=True).post(opened.handler).status_code == 403
    enter(opened.handler)
    assert Client().get(opened.handler).status_code == 404 == Client().post(opened.handler).status_code
    assert Client().get(f"/demo/{uuid.uuid4().hex}/").status_code == 404
    assert not any(user.has_usable_password() for user in User.objects.all())


def test_a_desk_in_use_is_not_filled(own_folders, evidence):
    User.objects.create_user("somebody@example.jp", None, name="誰か")
    with pytest.raises(UsageError):
        cases.fill(evidence)
    assert not Case.objects.exists()


def test_the_desk_itself_has_no_such_way_in(settings):
    from django.urls import NoReverseMatch

    settings.ROOT_URLCONF = "hikeshi_desk.urls"
    with pytest.raises(NoReverseMatch):
        reverse("demo", args=["x"], urlconf="hikeshi_desk.urls")
