import re

import pytest

from helpers import backend
from registration import profile

QUICK, FULL = {"steps": 10, "grid": "4 mm"}, {"steps": 99, "grid": "2 mm"}


@pytest.mark.parametrize(("name", "steps"), [("quick", 10), ("full", 99)])
def test_the_variable_names_the_profile(monkeypatch, name, steps):
    monkeypatch.setenv("REGISTRATION_PROFILE", name)
    settings = profile.choose(QUICK, FULL)
    assert (settings.profile, settings.steps) == (name, steps)


@pytest.mark.parametrize(("gpu", "name"), [(True, "full"), (False, "quick")])
def test_without_the_variable_a_gpu_decides(monkeypatch, gpu, name):
    monkeypatch.delenv("REGISTRATION_PROFILE", raising=False)
    monkeypatch.setattr(backend, "has_gpu", lambda: gpu)
    assert profile.choose(QUICK, FULL).profile == name


def test_the_settings_show_as_a_table_and_may_be_changed(monkeypatch):
    monkeypatch.setenv("REGISTRATION_PROFILE", "quick")
    settings = profile.choose(QUICK, FULL)
    settings.steps = 25
    page = settings._repr_html_()
    assert re.search(r">steps</td><td[^>]*>25</td>", page)
    assert "Trust Notebook" in page and ".reg-trust { display: none; }" in page
    assert repr(settings) == "profile  quick\nsteps    25\ngrid     4 mm"


def test_changing_the_settings_leaves_the_next_choice_as_it_was(monkeypatch):
    monkeypatch.setenv("REGISTRATION_PROFILE", "quick")
    profile.choose(QUICK, FULL).steps = 25
    assert profile.choose(QUICK, FULL).steps == 10


def test_an_unknown_profile_and_unequal_settings_are_refused(monkeypatch):
    monkeypatch.setenv("REGISTRATION_PROFILE", "fast")
    with pytest.raises(ValueError, match="Received: 'fast'"):
        profile.choose(QUICK, FULL)
    with pytest.raises(ValueError, match="same settings"):
        profile.choose(QUICK, {"steps": 99})
