"""What is refused of a task, before anything is spent, and in which words."""

import pytest

from evaluation.contracts import TaskSuite
from evaluation.core import task_library
from evaluation.core.task_library import TaskRefused, task_opened
from evaluation.recipes.check_task_suite import check
from tests.support.lm_eval_tasks import library_provided, task_folder


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    with library_provided(tmp_path_factory.mktemp("library")):
        yield


@pytest.fixture
def files(tmp_path):
    return task_folder(tmp_path / "task")


def refused(files, task="write.yaml", **fields):
    with pytest.raises(TaskRefused) as refusal:
        check(TaskSuite("house", task, files=files, **fields))
    return str(refusal.value)


def changed(files, file, *pairs):
    text = files[file]
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {**files, file: text}


def test_a_name_that_the_library_does_not_know_is_refused_with_what_is_near():
    said = refused({}, "gsm9k")
    assert said.startswith("lm-eval has no task named 'gsm9k'. Near it: gsm8k")


def test_a_task_whose_data_would_have_to_be_fetched_is_refused(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = refused({}, "gsm8k")
    assert said.startswith("The items of gsm8k cannot be had offline: Couldn't reach")
    assert "HF_HUB_OFFLINE is 1" in said


def test_a_task_without_its_data_says_where_they_must_lie(files):
    said = refused({name: text for name, text in files.items() if name != "write.jsonl"})
    assert "cannot be had offline: Unable to find" in said
    assert "a path within the task's folder" in said


def test_a_score_of_all_items_at_once_cannot_be_paired(files):
    pairs = (("metric: exact_match", "metric: bleu"), ("aggregation: mean", "aggregation: bleu"))
    said = refused(changed(files, "write.yaml", *pairs))
    assert "no score of single items that could be paired: bleu,none is worked out of all" in said


def test_a_median_is_no_mean_over_items(files):
    said = refused(changed(files, "write.yaml", ("aggregation: mean", "aggregation: median")))
    assert said.endswith("exact_match,none is no mean over items (median).")


def test_a_score_that_is_better_where_it_is_smaller_is_no_accuracy(files):
    said = refused(changed(files, "pick.yaml", ("better: true", "better: false")), "pick.yaml")
    assert said.endswith("acc,none is better where it is smaller.")


def test_an_unknown_score_is_refused_with_those_there_are(files):
    said = refused(files, metric="acc_norm")
    assert said == "write.yaml has no score 'acc_norm'; it has exact_match,none."


@pytest.mark.parametrize("metric", ["exact_match", "exact_match,none"])
def test_a_score_is_named_with_or_without_the_filter_of_replies(files, metric):
    found = check(TaskSuite("house", "write.yaml", metric, files=files))
    assert found.metric == "exact_match,none"


def test_a_file_that_is_no_yaml_is_refused(files):
    said = refused({**files, "write.yaml": "task: ["})
    assert said.startswith("lm-eval cannot read the task write.yaml: while parsing")


def test_one_item_makes_no_difference(files):
    said = refused(files, limit=1)
    assert said == "write.yaml has 1 item; a difference needs at least 2."


def test_no_file_is_written_outside_of_the_task_s_folder():
    with (
        pytest.raises(TaskRefused, match="lies outside of its folder"),
        task_opened(TaskSuite("house", "a.yaml", files={"../a.yaml": "task: a"})),
    ):
        pass


def test_without_the_library_the_sentence_says_how_to_get_it(monkeypatch, files):
    monkeypatch.setattr(task_library, "find_spec", lambda name: None)
    assert "pip install 'outerloop[lm-eval]'" in refused(files)
