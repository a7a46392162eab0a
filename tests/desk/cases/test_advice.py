"""The short steps of receipt and mail, and the longer advice behind them, say the same."""

from __future__ import annotations

import re

import pytest

from hikeshi.knowledge.advice import advice_for, kind_of
from hikeshi_desk.cases.first_steps import _load, first_steps, short_steps


def kinds() -> list[str]:
    return sorted(_load())


@pytest.mark.parametrize("incident", kinds())
def test_the_longer_advice_is_that_of_the_kind_as_reports_and_replies_take_it(incident):
    more = _load()[incident]["more"]
    assert more == kind_of(incident) if more else incident == "information"


@pytest.mark.parametrize("incident", [one for one in kinds() if one != "information"])
def test_they_agree_on_what_must_not_go_wrong(incident):
    steps, never = short_steps(incident, "en")
    advice = advice_for(None, kind_of(incident))[0]
    short, long = " ".join((*steps, *never)), " ".join(line.en for line in (*advice.steps, *advice.not_to_do))
    if re.search(r"switched on|not switch", short, re.I):
        assert re.search(r"switched on|not switch|not restart", long, re.I)
    assert not re.search(r"(?<!not )switch (?:it|them|the machine) off", short + long, re.I)
    assert not re.search(r"^(?:pay|wipe|restart)", " ".join(steps), re.I)


def test_a_kind_of_the_form_shows_its_own_longer_advice():
    assert first_steps("fraud").more.title == advice_for(None, "mail_compromise")[0].title.ja
    assert first_steps("information").more is None
    assert first_steps("no such kind").more.title == advice_for(None, "unknown")[0].title.ja
