"""Where lm-evaluation-harness would keep data sets; the stand-in reads JSON lines and keeps none."""

from types import SimpleNamespace

config = SimpleNamespace(HF_DATASETS_CACHE="")
