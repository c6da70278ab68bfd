"""What a lead may name as a task, checked by the real program."""

import pytest

from evaluation import task_suites
from evaluation.contracts import TaskSuite
from evaluation.suite_files import SuiteError
from evaluation.task_suites import task_library_missing, task_suite_check, task_suite_read
from tests.support.lm_eval_tasks import library_provided, task_folder
from training.runs import asking
from training.runs.asking import ProgramSaid
from training.runs.launching import child_environment


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    with library_provided(tmp_path_factory.mktemp("library")):
        yield


@pytest.fixture
def folder(settings, tmp_path):
    settings.OUTERLOOP_TASK_FOLDERS = [str(tmp_path / "tasks")]
    task_folder(tmp_path / "tasks" / "house")
    return tmp_path / "tasks" / "house"


def read(task, **fields):
    """Read, and checked by the program."""
    asked = {"name": "house", "task": str(task), "metric": "", "limit": 5, "chat": False, **fields}
    return task_suite_check(task_suite_read(**asked), beat=lambda: None)


def refused(task, **fields):
    with pytest.raises(SuiteError) as refusal:
        read(task, **fields)
    return str(refusal.value)


def test_a_task_in_an_allowed_folder_is_checked_and_kept_with_all_its_files(folder):
    (folder / ".hidden").write_bytes(b"\xff")
    suite = read(folder / "pick.yaml")
    assert (suite.task, suite.metric, suite.items, suite.limit) == ("pick.yaml", "acc,none", 5, 5)
    assert suite.files.keys() == {"pick.yaml", "pick.jsonl", "write.yaml", "write.jsonl"}
    assert suite.files["pick.jsonl"] == (folder / "pick.jsonl").read_text()
    assert len(suite.digest) == 64
    assert TaskSuite.from_json(suite.to_json()) == suite


def test_a_folder_stands_for_its_only_task(folder):
    assert refused(folder).endswith("name the file of one (pick.yaml, write.yaml).")
    (folder / "write.yaml").unlink()
    assert read(folder).task == "pick.yaml"
    (folder / "pick.yaml").write_text("dataset_path: json\n")
    assert refused(folder).endswith("holds no YAML file that names a task.")


def test_a_folder_that_no_operator_has_named_is_refused(folder, settings, tmp_path):
    outside = tmp_path / "elsewhere"
    task_folder(outside)
    assert "lies in no folder that OUTERLOOP_TASK_FOLDERS names" in refused(outside / "pick.yaml")
    assert "lies in no folder" in refused(folder / ".." / ".." / "elsewhere" / "pick.yaml")
    (folder / "more.jsonl").symlink_to(outside / "pick.jsonl")
    assert "more.jsonl lies in no folder" in refused(folder / "pick.yaml")
    settings.OUTERLOOP_TASK_FOLDERS = []
    assert "(it names none)" in refused(folder / "pick.yaml")


def test_what_a_folder_may_not_hold_is_said(folder, monkeypatch):
    assert refused(folder / "gone.yaml").startswith("There is no ")
    (folder / "items.parquet").write_bytes(b"PAR1\xff")
    assert "items.parquet is not UTF-8 text" in refused(folder / "pick.yaml")
    (folder / "items.parquet").unlink()
    monkeypatch.setattr(task_suites, "FILES_MOST", 2)
    assert "holds more than 20 MB or 2 files" in refused(folder / "pick.yaml")


def test_what_the_program_refuses_is_the_sentence(folder):
    assert "has no score 'acc_norm'" in refused(folder / "pick.yaml", metric="acc_norm")
    assert refused("arc_hard").startswith("lm-eval has no task named 'arc_hard'.")
    assert refused("gsm8k", limit=1) == "A suite asks 2 to 20,000 items; the limit is 1."


def test_a_check_that_takes_too_long_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(task_suites, "TASK_CHECK_MINUTES", 0.001)
    assert "took more than 0.001 minutes" in refused(folder / "pick.yaml")


class Stopped(Exception):
    pass


def test_what_the_beat_raises_ends_the_program(folder):
    def beat() -> None:
        raise Stopped

    suite = task_suite_read(
        name="house", task=str(folder / "pick.yaml"), metric="", limit=5, chat=False
    )
    with pytest.raises(Stopped):
        task_suite_check(suite, beat=beat)


def test_a_program_that_breaks_down_is_quoted(folder, monkeypatch):
    for log, quoted in (
        (b"Traceback ...\nMemoryError\n", "MemoryError"),
        (b"", "it said nothing"),
    ):
        said = ProgramSaid(1, b"", log)
        monkeypatch.setattr("training.facade.program_ask", lambda *_, said=said, **__: said)
        assert refused(folder / "pick.yaml") == f"pick.yaml could not be checked: {quoted}"


def test_the_program_has_no_secret_of_the_site(folder, monkeypatch):
    given: dict[str, str] = {}
    real = child_environment

    def environment():
        given.update(real())
        return given

    monkeypatch.setenv("OUTERLOOP_SECRET_KEY", "x" * 40)
    monkeypatch.setattr(asking, "child_environment", environment)
    read(folder / "pick.yaml")
    assert "OUTERLOOP_SECRET_KEY" not in given
    assert given["HF_HUB_OFFLINE"] == "1"


def test_without_the_library_nothing_is_started(folder, monkeypatch):
    monkeypatch.setattr(task_suites, "find_spec", lambda name: None)
    monkeypatch.setattr("training.facade.program_ask", None)
    assert task_library_missing() == refused(folder / "pick.yaml")
    assert "pip install 'outerloop[lm-eval]'" in task_library_missing()
