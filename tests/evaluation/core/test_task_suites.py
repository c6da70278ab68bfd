"""Tiny policies on tasks of lm-evaluation-harness, or of its stand-in, each value worked out by hand."""

from dataclasses import replace

import pytest
import torch

from evaluation.contracts import EvaluatePolicyConfig, TaskSuite
from evaluation.core.task_suites import task_suite_measure
from evaluation.recipes.check_task_suite import check
from tests.support.lm_eval_tasks import CHOICES, library_provided, questions, task_folder
from tests.support.tiny_models import tiny_policy
from training.core.run.errors import UserError

CONFIG = EvaluatePolicyConfig(scoring_batch_size=2)
COUNT = 9


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    with library_provided(tmp_path_factory.mktemp("library")):
        yield


@pytest.fixture(scope="module")
def policies():
    return {"candidate": tiny_policy(1), "incumbent": tiny_policy(2)}


@pytest.fixture
def files(tmp_path, policies):
    """The answers to the first six questions are what the incumbent writes."""
    said = {q: reply(policies["incumbent"], q) for q in questions(COUNT)[:6]}
    return task_folder(tmp_path / "task", count=COUNT, answers=said)


def attached(task, files, **fields):
    return check(TaskSuite("house", task, files=files, **fields))


def measure(suite, policies, *, go_on=lambda: None, tell=lambda sentence: None):
    return task_suite_measure(
        suite, policies, sha256="5" * 64, config=CONFIG, seed=5, go_on=go_on, tell=tell
    )


def reply(policy, question, tokens=3):
    """Greedy, token by token, up to the end of a text or a line."""
    ids = policy.tokenizer(question)["input_ids"]
    start = len(ids)
    with torch.inference_mode():
        for _ in range(tokens):
            ids = [*ids, int(policy.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
    new = ids[start:]
    ends = [i for i, token in enumerate(new) if token in policy.end_ids]
    text = policy.tokenizer.decode(new[: ends[0]] if ends else new, skip_special_tokens=True)
    return text.split("\n")[0]


def right_choices(policy):
    """1 where the labelled choice has the greatest sum of log-probabilities after its question."""
    rights = []
    for i, question in enumerate(questions(COUNT)):
        start = len(policy.tokenizer(question)["input_ids"])
        sums = []
        for choice in CHOICES:
            ids = torch.tensor([policy.tokenizer(f"{question} {choice}")["input_ids"]])
            with torch.inference_mode():
                table = policy.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            each = table.gather(1, ids[0, 1:, None])[:, 0]
            sums.append(float(each[start - 1 :].sum()))
        rights.append(float(sums.index(max(sums)) == i % 3))
    return rights


def test_choices_are_right_where_the_labelled_one_is_the_likeliest(policies, files):
    suite = attached("pick.yaml", files)
    assert (suite.metric, suite.items) == ("acc,none", COUNT)
    rate = measure(suite, policies)
    ours, theirs = (right_choices(policies[side]) for side in ("candidate", "incumbent"))
    assert rate.candidate.estimate == pytest.approx(sum(ours) / COUNT)
    assert rate.incumbent.estimate == pytest.approx(sum(theirs) / COUNT)
    assert rate.difference.estimate == pytest.approx((sum(ours) - sum(theirs)) / COUNT)
    assert (rate.items, rate.draws, rate.difference.n) == (COUNT, 0, COUNT)
    assert rate.chance == pytest.approx(1 / 3)


def test_replies_are_right_where_they_are_the_answer(policies, files):
    rate = measure(attached("write.yaml", files), policies)
    assert rate.incumbent.estimate == pytest.approx(6 / COUNT)
    ours = [reply(policies["candidate"], q) for q in questions(COUNT)[:6]]
    theirs = [reply(policies["incumbent"], q) for q in questions(COUNT)[:6]]
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert rate.candidate.estimate == pytest.approx(same / COUNT)
    assert (rate.chance, rate.draws) == (0.0, 1)
    assert same < 6
    first = rate.examples[0]
    assert (first.candidate, first.incumbent) == next(
        (a, b) for a, b in zip(ours, theirs, strict=True) if a != b
    )


def test_the_same_weights_differ_by_exactly_nothing_and_a_second_time_is_the_same(policies, files):
    same = {"candidate": tiny_policy(2), "incumbent": policies["incumbent"]}
    for task in ("pick.yaml", "write.yaml"):
        suite = attached(task, files)
        rate = measure(suite, same)
        assert (rate.difference.estimate, rate.spread) == (0.0, 0.0)
        assert measure(suite, same) == rate


def test_at_most_so_many_items_are_asked_and_in_the_chat_template_where_wanted(policies, files):
    suite = attached("write.yaml", files, limit=4, chat=True)
    assert suite.items == 4
    assert suite.digest != attached("write.yaml", files).digest
    rate = measure(suite, policies)
    assert rate.items == 4
    assert rate.incumbent.estimate < 1  # the answers were written without the template


def test_parts_of_a_group_are_shown_apart(policies, files):
    more = {
        **files,
        "again.yaml": files["pick.yaml"].replace("house_pick", "house_again"),
        "all.yaml": "group: house\ntask: [house_pick, house_again]\n",
    }
    rate = measure(attached("all.yaml", more, limit=3), policies)
    assert [(t.type, t.items) for t in rate.types] == [("house_pick", 3), ("house_again", 3)]
    assert rate.items == 6


def test_progress_is_told_and_a_cancel_ends_the_asking(policies, files):
    told: list[str] = []
    looks: list[int] = []

    def stop():
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    suite = attached("pick.yaml", files)
    measure(suite, policies, tell=told.append)
    assert told == [
        f"house: the {side} has answered 27 of 27 requests." for side in ("candidate", "incumbent")
    ]
    with pytest.raises(KeyboardInterrupt):
        measure(suite, policies, go_on=stop)
    assert len(looks) == 3


def test_items_that_changed_since_the_suite_was_attached_are_not_measured(policies, files):
    suite = attached("pick.yaml", files)
    other = {
        **files,
        "pick.jsonl": files["pick.jsonl"].replace("What is 0 plus", "What was 0 plus"),
    }
    with pytest.raises(UserError, match="are not those that the suite house was attached with"):
        measure(replace(suite, files=other), policies)


def test_a_task_that_cannot_be_opened_any_more_is_said_with_the_suite_s_name(policies, files):
    suite = attached("pick.yaml", files)
    rest = {name: text for name, text in files.items() if name != "pick.jsonl"}
    with pytest.raises(UserError, match=r"The suite house cannot be measured. The items of pick"):
        measure(replace(suite, files=rest), policies)


def test_replies_longer_than_the_policy_can_write_end_in_a_sentence(policies, files):
    text = files["write.yaml"].replace("max_gen_toks: 3", "max_gen_toks: 256")
    suite = attached("write.yaml", {**files, "write.yaml": text})
    with pytest.raises(UserError, match=r"cannot be measured: lm-eval says: .*max tokens"):
        measure(suite, policies)
