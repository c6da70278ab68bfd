"""What the demo's flags order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.management.base import CommandError
from rich.console import Console

from outerloop.demo.building import DemoFailed, demo_plan
from outerloop.demo.management.commands import demo as demo_command
from outerloop.demo.management.commands.demo import bars, order_from
from outerloop.demo.settings import DEFAULT, OVEROPTIMISED, QUICK
from outerloop.processes.sharing import SharedLock, mine
from outerloop.rounds.models import PolicyLine
from training.contracts import DpoConfig


def options(**given):
    known = {
        "seed": 5,
        "rounds": None,
        "labels": "simulated",
        "candidate": "trained",
        "overoptimise": False,
        "optimizer": "ppo",
        "adapter": "none",
        "quick": False,
        "fresh": False,
    }
    return {**known, **given}


def test_the_plain_demo_is_two_rounds_on_honest_labels():
    order = order_from(options())
    assert (order.slug, order.demo, order.shuffled) == ("help-desk-seed-5", DEFAULT, False)
    assert order.changes is None
    assert order.demo.rounds >= 2


def test_each_arm_has_a_line_of_its_own():
    arms: list[dict[str, object]] = [
        {},
        {"labels": "shuffled"},
        {"candidate": "incumbent"},
        {"overoptimise": True},
        {"quick": True},
        {"optimizer": "dpo"},
        {"optimizer": "best_of_n"},
        {"adapter": "lora"},
        {"optimizer": "dpo", "adapter": "lora"},
        {"optimizer": "dpo", "quick": True},
    ]
    assert len({order_from(options(**arm)).slug for arm in arms}) == len(arms)


def test_shuffled_labels_leave_the_settings_of_learning_alone():
    order = order_from(options(labels="shuffled"))
    assert order.shuffled
    assert (order.demo.reward_model, order.demo.ppo) == (DEFAULT.reward_model, DEFAULT.ppo)


def test_an_a_a_round_judges_the_incumbent_against_itself():
    assert order_from(options(candidate="incumbent")).changes == {"candidate": "incumbent"}


def test_the_over_optimised_demo_has_few_labels_and_no_kl_control():
    order = order_from(options(overoptimise=True))
    demo = order.demo
    assert order.changes == {"minimum_reward_accuracy": 0.0}  # or PPO would never begin
    assert demo == OVEROPTIMISED
    assert demo.ppo.kl.beta == 0.0
    assert demo.labels_per_round < DEFAULT.labels_per_round


def test_the_quick_demo_is_one_short_round():
    assert order_from(options(quick=True)).demo == QUICK
    with pytest.raises(CommandError, match="choose one"):
        order_from(options(quick=True, overoptimise=True))


def test_another_optimiser_learns_from_the_same_labels():
    order = order_from(options(optimizer="best_of_n"))
    assert (order.slug, order.title) == ("help-desk-best-of-n-seed-5", "by best_of_n")
    assert order.demo == replace(DEFAULT, optimizer="best_of_n")
    assert demo_plan(order.demo, 5).policy_training == DEFAULT.best_of_n


def test_an_adapter_is_trained_at_a_higher_rate():
    order = order_from(options(optimizer="dpo", adapter="lora"))
    assert order.name == "Help desk (demo, seed 5, by dpo with lora)"
    settings = demo_plan(order.demo, 5).policy_training
    assert isinstance(settings, DpoConfig)
    assert settings.adapter.kind == "lora"
    assert settings.learning_rate == 10 * DEFAULT.dpo.learning_rate


def test_the_over_optimised_demo_is_one_of_ppo():
    with pytest.raises(CommandError, match="leave --optimizer out"):
        order_from(options(overoptimise=True, optimizer="dpo"))


@pytest.mark.django_db
def test_a_fresh_demo_takes_a_new_name_beside_an_old_one():
    assert order_from(options(fresh=True)).slug == "help-desk-seed-5"
    PolicyLine.objects.create(name="x", slug="help-desk-seed-5")
    assert order_from(options(fresh=True)).slug == "help-desk-seed-5-2"


def test_a_demo_whose_processes_ended_says_so_at_its_next_step():
    failures = [""]
    with bars(Console(quiet=True), lambda: failures[-1]) as narrator:
        narrator.step("labels", "labels", 1, 10)
        failures.append("gpu ended (exit code 3).")
        for turn in (narrator.waiting, lambda: narrator.step("labels", "labels", 2, 10)):
            with pytest.raises(DemoFailed, match=r"gpu ended \(exit code 3\)\..*goes on from here"):
                turn()


def test_without_a_terminal_each_step_is_a_line(capsys):
    with bars(Console(force_terminal=False), lambda: "") as narrator:
        for done in range(3):
            narrator.step("labels", "labels for round 1", done, 3)
        narrator.say("round 1: [PROMOTE]")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines == ["  labels for round 1 ...", "  round 1: [PROMOTE]"]


@pytest.mark.django_db
def test_a_second_demo_of_the_same_line_ends_in_a_sentence():
    lock = SharedLock("demo-help-desk-quick-seed-5")
    assert lock.take()
    lock.say(mine())
    try:
        with pytest.raises(CommandError, match=r"runs already.*choose another seed"):
            demo_command._demo(Console(quiet=True), options(quick=True, no_serve=True))
    finally:
        lock.release()
    assert not PolicyLine.objects.exists()
