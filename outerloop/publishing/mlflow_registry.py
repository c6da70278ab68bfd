"""Register a folder as a version of a model in an MLflow registry, by MLflow's own client (an extra).

The run that holds the files carries the push's id as a tag: a push that was killed goes on in the same run,
and makes no second version. MLflow opens its connections itself, so its address is the operator's alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from web.jobs import JobFailed
from web.outgoing import OutgoingFailed, OutgoingRefused, address_check

from .names import CARD, files_of
from .watching import PushWatch

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT, TAG, ARTIFACT = "outerloop", "outerloop.push", "model"
MISSING = (
    "MLflow is not installed in this installation; an operator adds the extra `outerloop[mlflow]`."
)
# Nothing is told to MLflow's makers, no answer sends a request elsewhere, and a registry in a folder, which
# MLflow takes after a word of the operator alone, has it: the setting names one.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


def is_installed() -> bool:
    return find_spec("mlflow") is not None


@dataclass(frozen=True)
class RegistryPush:
    push_id: str
    name: str
    folder: Path
    card: str
    title: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    def sent(self, watch: PushWatch) -> str:
        """The number of the registered version. Raises `JobFailed` with a sentence, `JobCancelled`."""
        if settings.OUTERLOOP_MLFLOW.startswith("http"):
            try:
                address_check(settings.OUTERLOOP_MLFLOW)
            except (OutgoingRefused, OutgoingFailed) as error:
                raise JobFailed(str(error)) from error
        os.environ.update(ENVIRONMENT)
        # A large extra, which only a worker that pushes to a registry loads.
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            where = settings.OUTERLOOP_MLFLOW
            return self._registered(MlflowClient(tracking_uri=where, registry_uri=where), watch)
        except MlflowException as error:
            said = " ".join(re.sub(r"https?://\S+", "(address)", str(error)).split())[:200]
            raise JobFailed(f"MLflow refused: {said}") from error

    def _registered(self, client: MlflowClient, watch: PushWatch) -> str:
        run = self._run(client)
        run_id, before = run.info.run_id, 0
        client.log_text(run_id, self.card, f"{ARTIFACT}/{CARD}")
        for place, path in files_of(self.folder):
            client.log_artifact(run_id, str(path), str((Path(ARTIFACT) / place).parent))
            before += path.stat().st_size
            watch.at(before)
        return self._version(client, run)

    def _run(self, client: MlflowClient) -> Any:
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
        begun = client.search_runs([experiment], f"tags.`{TAG}` = '{self.push_id}'")
        if begun:
            return begun[0]
        run = client.create_run(
            experiment, run_name=self.title, tags={TAG: self.push_id, **self.tags}
        )
        for name, value in self.metrics.items():
            client.log_metric(run.info.run_id, name, value)
        return run

    def _version(self, client: MlflowClient, run: Any) -> str:
        if not client.search_registered_models(f"name = '{self.name}'"):
            client.create_registered_model(self.name)
        made = client.search_model_versions(f"name = '{self.name}'")
        for version in made:
            if version.run_id == run.info.run_id:
                return str(version.version)
        version = client.create_model_version(
            self.name,
            source=f"{run.info.artifact_uri}/{ARTIFACT}",
            run_id=run.info.run_id,
            tags={TAG: self.push_id, **self.tags},
            description=self.card,
        )
        client.set_terminated(run.info.run_id)
        return str(version.version)
