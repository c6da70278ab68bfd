"""Forms of the line and round pages; a wrong value is answered beside its field."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from evaluation import facade as evaluation
from training.contracts import ContractError
from web.forms import choices_set

from .models import RELEASES, SUITE_KINDS, PolicyLine
from .plan import RoundPlan, plan_read
from .schedule import SCHEDULE_FIELDS, time_zone_validate

SUITE_BYTES = 20_000_000
DAYS = [
    ("*", "every night"),
    ("1,2,3,4,5", "Monday to Friday"),
    ("0,6", "Saturday and Sunday"),
    ("0", "Sunday"),
    ("1", "Monday"),
]


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    schedule_enabled = forms.BooleanField(label="Start rounds by schedule", required=False)
    schedule_time = forms.TimeField(
        label="At", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    schedule_time_zone = forms.CharField(
        label="Time zone", help_text="For example Europe/Berlin.", validators=[time_zone_validate]
    )
    schedule_days = forms.ChoiceField(label="On", choices=DAYS)
    minimum_fresh_labels = forms.IntegerField(
        label="New labels needed",
        min_value=1,
        help_text="With fewer, no round starts that night; the line's page says why.",
    )

    class Meta:
        model = PolicyLine
        fields = SCHEDULE_FIELDS


def canary_choices() -> list[tuple[int, str]]:
    """Who a promoted policy answers first."""
    shares = [(share, f"{share}% of the users first") for share in evaluation.CANARY_SHARES]
    return [(0, "answers everybody at once"), *shares]


class PromotionsForm(forms.Form):
    """Who lets a promoted candidate through, and what becomes of the labels that decided; only leads are
    given this form."""

    promotions = forms.ChoiceField(
        label="When the gate says PROMOTE",
        choices=[
            ("wait", "a lead reads the report and approves the deployment"),
            ("deploy", "the candidate is deployed at once"),
        ],
    )

    canary_share = forms.TypedChoiceField(
        label="A policy that is let through",
        choices=canary_choices,
        coerce=int,
        required=False,
        empty_value=None,
        help_text="With a share it is a canary: users' votes on it are compared with those on the deployed"
        " policy, while signals are on. A lead who approves may choose otherwise.",
    )

    release_gate_labels = forms.ChoiceField(
        label="After the decision, the gate's labels",
        choices=RELEASES,
        help_text="Prompts whose labels train are retired: no gate draws them again. Enough are left where"
        " the next gate can be served by prompts that nobody has been shown.",
    )

    def __init__(self, *args: Any, line: PolicyLine, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["promotions"] = "deploy" if line.deploys_by_itself else "wait"
        self.initial["canary_share"] = line.canary_share
        self.initial["release_gate_labels"] = line.release_gate_labels

    def share(self) -> int:
        """As it was, where nothing was chosen."""
        chosen = self.cleaned_data["canary_share"]
        return int(self.initial["canary_share"] if chosen is None else chosen)

    def deploys_by_itself(self) -> bool:
        return bool(self.cleaned_data["promotions"] == "deploy")


class OptimizerForm(forms.Form):
    """How the next round makes its candidate; the settings of each optimiser stand in the plan."""

    optimizer = forms.ChoiceField(
        label="The policy is trained by",
        choices=[
            ("ppo", "PPO: reinforcement learning on the reward model"),
            ("dpo", "DPO: on the preferences themselves"),
            ("best_of_n", "Best of n: fine-tuning on the answers that the reward model likes best"),
        ],
    )
    adapter = forms.ChoiceField(
        label="Weights",
        choices=[("none", "all of them"), ("lora", "a LoRA adapter, merged in at the end")],
    )


class JobsForm(forms.Form):
    """Who runs the programs of the next round, and what each of its jobs asks for; what single steps ask for
    otherwise stands in the plan."""

    backend = forms.ChoiceField(
        label="Learning programs are run by",
        choices=[
            ("default", "what the installation says"),
            ("local", "the worker itself, on its own machine"),
            ("slurm", "Slurm, as a job"),
            ("kubernetes", "Kubernetes, as a Job"),
        ],
    )
    partition = forms.CharField(
        label="Partition, or queue of Kueue",
        required=False,
        max_length=100,
        help_text='Where the plan below says that there is none (""), an empty field leaves it so.',
    )
    account = forms.CharField(label="Account (Slurm)", required=False, max_length=100)
    image = forms.CharField(label="Image (Kubernetes)", required=False, max_length=300)
    files = forms.ChoiceField(  # type: ignore[assignment] # fields are taken off the class
        label="Files of a job",
        required=False,
        choices=[
            ("", "what the installation says"),
            ("shared", "in the folder of the workers"),
            ("site", "in a folder of its own"),
        ],
        help_text="In a folder of its own a job speaks to the site, and artifacts lie in object storage.",
    )
    gpus = forms.IntegerField(label="GPUs on each node", required=False, min_value=0)
    nodes = forms.IntegerField(label="Nodes", required=False, min_value=1)
    memory_gb = forms.IntegerField(label="Memory on each node (GB)", required=False, min_value=0)
    minutes = forms.IntegerField(
        label="Time (minutes)",
        required=False,
        min_value=0,
        help_text="Of each job. An empty field is what the installation says. Single steps ask for something else in"
        " the plan below (jobs.policy_training and its like).",
    )

    def changes(self, plan: RoundPlan) -> dict[str, Any]:
        """What is merged into the plan: an empty field is null, unless the plan says "", which means none."""
        data = dict(self.cleaned_data)
        backend, now = data.pop("backend"), plan.jobs.every_step.to_json()
        none = {name: "" if now[name] == "" else None for name in data}
        asked = {name: none[name] if value == "" else value for name, value in data.items()}
        return {"jobs": {"backend": backend, "every_step": asked}}


class PlanForm(forms.Form):
    """The plan as the JSON document that it is; every wrong field is named."""

    plan = forms.CharField(
        label="Plan of the next round",
        widget=forms.Textarea(attrs={"rows": 28, "spellcheck": "false", "class": "code"}),
    )

    def clean_plan(self) -> RoundPlan:
        try:
            return plan_read(json.loads(self.cleaned_data["plan"]))
        except json.JSONDecodeError as error:
            raise ValidationError(f"Line {error.lineno} is not valid JSON: {error.msg}.") from error
        except ContractError as error:
            raise ValidationError(str(error)) from error


class SuiteForm(forms.Form):
    name = forms.CharField(max_length=60, help_text="What reports call it.")
    kind = forms.ChoiceField(
        label="What it asks", choices=[kind for kind in SUITE_KINDS if kind[0] != "lm_eval"]
    )
    file = forms.FileField(
        help_text="CSV or JSON lines, at most 20 MB, plain or as .gz: XSTest's columns (prompt, type, "
        "label), BLiMP's fields (sentence_good, sentence_bad), GSM8K's (question, answer). Preferences: "
        "prompt, chosen, rejected and subset, as RewardBench and RM-Bench have them, also as Parquet."
    )

    def clean_file(self) -> bytes:
        file = self.cleaned_data["file"]
        if file.size > SUITE_BYTES:
            raise ValidationError(f"The file has {file.size:,} bytes, more than 20 MB.")
        return bytes(file.read())


class TaskForm(forms.Form):
    """A task of lm-evaluation-harness as a suite."""

    name = forms.CharField(max_length=60, help_text="What reports call it.")
    task = forms.CharField(
        max_length=500,
        help_text="Its name in the library, as arc_easy, or the path of a folder with its YAML file and data"
        " that lies in one of OUTERLOOP_TASK_FOLDERS.",
    )
    limit = forms.IntegerField(
        label="Items at most",
        min_value=2,
        max_value=20_000,
        initial=1000,
        help_text="The first so many of the task, or of each task of a group.",
    )
    metric = forms.CharField(
        label="Score",
        max_length=100,
        required=False,
        help_text="As the library's tables have it: acc_norm, or exact_match,strict-match. Empty: the first"
        " that is of single items.",
    )
    chat = forms.BooleanField(
        label="Ask in the policy's chat template",
        required=False,
        help_text="For questions that it should answer; likelihoods are mostly compared without.",
    )


class DecisionForm(forms.Form):
    reason = forms.CharField(
        label="Reason", widget=forms.Textarea(attrs={"rows": 2}), required=False, max_length=1000
    )
    # Left out: as the line's setting says.
    canary_share = forms.TypedChoiceField(
        label="Who it answers", choices=canary_choices, coerce=int, required=False, empty_value=None
    )


class OverrideForm(forms.Form):
    check_id = forms.ChoiceField(label="Check to let through")
    reason = forms.CharField(label="Reason", widget=forms.Textarea(attrs={"rows": 2}))
    days = forms.IntegerField(label="Valid for (days)", min_value=1, max_value=30, initial=7)

    def __init__(self, *args: Any, checks: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(self, "check_id", checks)

    def expires_at(self) -> datetime:
        return timezone.now() + timedelta(days=self.cleaned_data["days"])
