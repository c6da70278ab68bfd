from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from outerloop.settings.env import (
    env_bool,
    env_choice,
    env_host,
    env_hosts,
    env_int,
    env_keys,
    env_list_matching,
    env_matching,
    env_modules,
    env_receivers,
    env_secret,
    env_str,
    env_url,
)


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("OUTERLOOP_X", raising=False)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_str("OUTERLOOP_X")


@pytest.mark.parametrize(("raw", "value"), [("1", True), ("no", False), ("", True)])
def test_switches_read_the_usual_words(monkeypatch, raw, value):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    assert env_bool("OUTERLOOP_X", True) is value


def test_a_switch_with_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "maybe")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is 'maybe'"):
        env_bool("OUTERLOOP_X", True)


@pytest.mark.parametrize("raw", ["twelve", "-1"])
def test_a_number_that_is_none_is_refused(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_int("OUTERLOOP_X", 3)


def test_a_choice_is_read_in_any_case_and_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "Json")
    assert env_choice("OUTERLOOP_X", "text", ("text", "json")) == "json"
    monkeypatch.setenv("OUTERLOOP_X", "yaml")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is 'yaml'; use one of text, json"):
        env_choice("OUTERLOOP_X", "text", ("text", "json"))


def test_a_short_secret_is_refused_and_none_is_none(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "short")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X is too short"):
        env_secret("OUTERLOOP_X")
    monkeypatch.delenv("OUTERLOOP_X")
    assert env_secret("OUTERLOOP_X") == ""


@pytest.mark.parametrize(
    "raw", ["https://site.example", "site.example:8000", "site.example/path", "site example", "a@b"]
)
def test_a_host_with_more_than_a_host_is_refused(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_host("OUTERLOOP_X", "")
    monkeypatch.setenv("OUTERLOOP_X", f"good.example,{raw}")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_hosts("OUTERLOOP_X")


def test_hosts_are_names_addresses_and_patterns(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "a.example,.b.example,[::1],10.0.0.1,*")
    assert env_hosts("OUTERLOOP_X") == ["a.example", ".b.example", "[::1]", "10.0.0.1", "*"]
    monkeypatch.setenv("OUTERLOOP_X", "fe80::1")
    assert env_host("OUTERLOOP_X", "") == "fe80::1"


@pytest.mark.parametrize(
    "raw", ["https://a.example/?next=/x", "https://a.example/#x", "https://u@a"]
)
def test_an_address_of_a_site_has_neither_query_nor_fragment_nor_user(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X"):
        env_url("OUTERLOOP_X", "")


@pytest.mark.parametrize("raw", ["lab.rewards:short", "lab/rewards.py", "lab..rewards", "-c"])
def test_a_module_that_is_none_is_refused(monkeypatch, raw):
    monkeypatch.setenv("MODULES", f"lab, {raw}")
    with pytest.raises(ImproperlyConfigured, match="MODULES holds"):
        env_modules("MODULES")
    monkeypatch.setenv("MODULES", "lab, their.rewards")
    assert env_modules("MODULES") == ["lab", "their.rewards"]


@pytest.mark.parametrize(
    "raw", ["hooks.internal", "10.1.2.3", "10.1.0.0/16", "fd00::/8", "localhost"]
)
def test_receivers_are_names_addresses_and_networks(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", f" {raw} ,")
    assert env_receivers("OUTERLOOP_X") == [raw]


@pytest.mark.parametrize(
    "raw", ["https://hooks.internal", "hooks.internal:8080", "10.1.2.3/16", "10.1.2", "*", "a b"]
)
def test_what_names_no_receiver_is_refused(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", raw)
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X holds"):
        env_receivers("OUTERLOOP_X")


def test_keys_stand_beside_their_hosts(monkeypatch):
    assert env_keys("OUTERLOOP_X") == {}
    monkeypatch.setenv("OUTERLOOP_X", "API.example.com=sk-a=b, 10.1.2.3:8443=word")
    assert env_keys("OUTERLOOP_X") == {"api.example.com": "sk-a=b", "10.1.2.3:8443": "word"}


@pytest.mark.parametrize(
    "raw",
    ["sk-secret", "=sk-secret", "a b=sk-secret", "host=", "https://h=sk-secret", "h=sk secret"],
)
def test_what_is_no_key_of_a_host_is_refused_and_not_shown(monkeypatch, raw):
    monkeypatch.setenv("OUTERLOOP_X", f"fine.example=sk-other,{raw}")
    with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_X: entry 2") as refused:
        env_keys("OUTERLOOP_X")
    assert "sk-" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_name_that_cannot_be_one_is_refused_before_a_cluster_is_asked(monkeypatch):
    assert env_matching("OUTERLOOP_X", r"[a-z]+", "small letters", default="night") == "night"
    monkeypatch.setenv("OUTERLOOP_X", "Night shift")
    with pytest.raises(
        ImproperlyConfigured, match="OUTERLOOP_X is 'Night shift'; write small letters"
    ):
        env_matching("OUTERLOOP_X", r"[a-z]+", "small letters")


def test_of_a_list_the_entry_that_is_wrong_is_named(monkeypatch):
    monkeypatch.setenv("OUTERLOOP_X", "pool=gpu, zone")
    with pytest.raises(
        ImproperlyConfigured, match="OUTERLOOP_X holds 'zone'; write a label as name=value"
    ):
        env_list_matching("OUTERLOOP_X", r"\w+=\w+", "a label as name=value")
