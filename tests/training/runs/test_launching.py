"""What a learning program is started with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config import load_config_from_file

from training.runs import launching
from training.runs.launching import LaunchError, accelerate_config, launch_command, shipped_configs

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "multi-gpu.md"


def test_without_a_setting_it_is_one_process_on_what_there_is(settings, monkeypatch):
    settings.OUTERLOOP_ACCELERATE_CONFIG = ""
    monkeypatch.setattr(launching, "has_gpu", lambda: False)
    command = launch_command("ppo", Path("/r/spec.json"), token=4)
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert command[-5:] == ["-m", "training.recipes.ppo", "/r/spec.json", "--token", "4"]
    assert "--cpu" in command
    monkeypatch.setattr(launching, "has_gpu", lambda: True)
    assert "--cpu" not in launch_command("ppo", Path("/r/spec.json"))
    assert "--token" not in launch_command("ppo", Path("/r/spec.json"))


@pytest.mark.parametrize("name", shipped_configs())
def test_a_shipped_configuration_is_named_readable_and_says_where_it_ran(settings, name):
    settings.OUTERLOOP_ACCELERATE_CONFIG = name
    command = launch_command("sft", Path("/r/spec.json"))
    path = Path(command[command.index("--config_file") + 1])
    assert "Run on:" in path.read_text()
    config = load_config_from_file(str(path))
    assert config.num_processes >= 1
    assert "gradient_accumulation_steps" not in yaml.safe_load(path.read_text())
    assert f"| `{name}` |" in HOW_TO.read_text()


def test_a_file_of_ones_own_is_taken_as_it_is(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("num_processes: 3\n")
    assert accelerate_config(str(own)) == own
    assert accelerate_config("") is None


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(
        LaunchError, match=r"neither a file nor one of cpu, cpu-two, cpu-two-fsdp, fsdp"
    ):
        accelerate_config("twelve-gpus")
