"""Whether a folder can be a model, told before any library opens it: each refusal is one sentence.

Standard library only, so that the site's commands and the learning programs ask the same. A safetensors
file is eight bytes of length, that much JSON naming each tensor's place, and the tensors themselves: a file
that was cut short in a copy shows in its size alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CODE_CARRYING = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
AGAIN = "copy or download it again"


class ModelFilesError(ValueError):
    """A folder that is no model, or not a whole one; the message names the file and the fix."""


def model_folder_check(folder: Path) -> None:
    """Raise `ModelFilesError` unless the folder holds a config and whole safetensors."""
    if not folder.exists():
        raise ModelFilesError(f"There is no model folder {folder}: check the path.")
    if not folder.is_dir():
        raise ModelFilesError(
            f"{folder} is a file; name the folder that holds its config.json and safetensors."
        )
    _adapter_refuse(folder)
    config_check(_config_read(folder / "config.json"), str(folder))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelFilesError(_no_weights(folder))
    for path in weights:
        safetensors_check(path)
    _parts_check(folder)


def config_check(config: Mapping[str, Any], where: str) -> None:
    """Raise `ModelFilesError` for a kind of model that cannot be trained, or only in part."""
    if config.get("is_encoder_decoder"):
        raise ModelFilesError(
            f"{where} is an encoder-decoder model ({config.get('model_type')}), of which only a half could"
            " be used: take a causal language model as policy, and an encoder or decoder as reward model."
        )
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
        raise ModelFilesError(
            f"{where} is quantised ({method or 'quantization_config in config.json'}), and rounded weights"
            " cannot be trained: take the model as it was before, or save it dequantised."
        )


def weight_types(folder: Path) -> frozenset[str]:
    """The types of the floating-point tensors in a folder's safetensors, as they are named there ("BF16")."""
    headers = [_header(path, path.stat().st_size)[0] for path in folder.glob("*.safetensors")]
    found = {str(entry["dtype"]) for header in headers for entry in header.values()}
    return frozenset(name for name in found if name.startswith(("F", "BF")))


def safetensors_check(path: Path) -> None:
    """Raise `ModelFilesError` for a file that is cut short, too long, or has no readable header."""
    size = path.stat().st_size
    header, data_begins = _header(path, size)
    try:
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ModelFilesError(
            f"{path} is damaged: its header is no safetensors'; {AGAIN}."
        ) from error
    expected = data_begins + max(ends, default=0)
    if size < expected:
        raise ModelFilesError(f"{path} is cut short, {size:,} of {expected:,} bytes: {AGAIN}.")
    if size > expected:
        raise ModelFilesError(f"{path} is damaged, {size - expected:,} bytes too many: {AGAIN}.")


def _header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ModelFilesError(f"{path} is cut short or no safetensors file: {AGAIN}.")
        content = file.read(length)
    try:
        header = json.loads(content)
    except ValueError as error:
        raise ModelFilesError(f"{path} is damaged: its header cannot be read; {AGAIN}.") from error
    if not isinstance(header, dict):
        raise ModelFilesError(f"{path} is damaged: its header is no safetensors'; {AGAIN}.")
    header.pop("__metadata__", None)
    return header, 8 + length


def _config_read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFilesError(
            f"{path.parent} holds no config.json; name a folder in Hugging Face layout."
        )
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelFilesError(f"{path} is not JSON ({error}): {AGAIN}.") from error
    if not isinstance(config, dict):
        raise ModelFilesError(f"{path} holds no JSON object: {AGAIN}.")
    return config


def _adapter_refuse(folder: Path) -> None:
    """Libraries would load another model in its place: the one that the adapter was trained on."""
    if (folder / "adapter_config.json").exists():
        raise ModelFilesError(
            f"{folder} holds an adapter (adapter_config.json): merge it into its model and save that, or"
            " move the adapter's files elsewhere."
        )


def _parts_check(folder: Path) -> None:
    """Every file that an index of weights in several files names is there."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        try:
            names = {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelFilesError(f"{index} is no index of weights: {AGAIN}.") from error
        if missing := sorted(name for name in names if not (folder / name).is_file()):
            raise ModelFilesError(
                f"{folder} lacks {missing[0]}, one of the {len(names)} files that {index.name} names: copy"
                " or download it again."
            )


def _no_weights(folder: Path) -> str:
    others = sorted(p.name for p in folder.iterdir() if p.suffix in CODE_CARRYING)
    if not others:
        return f"{folder} holds no .safetensors file; name the folder that has the weights."
    return (
        f"{folder} holds its weights as {others[0]}, a format that can carry code. Only safetensors are"
        " loaded: convert the weights once, where you trust them, with"
        " save_pretrained(..., safe_serialization=True)."
    )
