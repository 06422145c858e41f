"""A stored run as a Workflow Run RO-Crate, so that other tools can read what was done with what.

Profiles: https://w3id.org/ro/wfrun/process/0.5 and https://w3id.org/ro/wfrun/workflow/0.5
"""

from __future__ import annotations

import json
from pathlib import Path

from rocrate.model.computerlanguage import ComputerLanguage
from rocrate.model.contextentity import ContextEntity
from rocrate.model.person import Person
from rocrate.rocrate import ROCrate

from aurelius_extensions.reports.records import ReportRun, Verdict, VerdictKind

PROFILES = ("https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5")
MEDIA_TYPES = {".ipynb": "application/x-ipynb+json", ".json": "application/json", ".html": "text/html"}
METADATA_FILE = "ro-crate-metadata.json"


def write_crate(folder: Path, run: ReportRun, verdict: Verdict | None, *, source: str) -> None:
    """Write ``ro-crate-metadata.json`` for a run's folder.

    Parameters
    ----------
    folder
        Folder that holds the run's files.
    run
        The run.
    verdict
        Its verdict, where there is one.
    source
        Name of the file in ``folder`` that is the report notebook as it was before it ran.
    """
    crate = ROCrate()
    crate.name = f"{run.title}, run {run.id}"
    crate.description = (
        f"Run of the report notebook {run.report} on dataset {run.dataset.name if run.dataset else '?'}."
    )
    crate.datePublished = run.ended_at.isoformat()
    profiles = [crate.add(ContextEntity(crate, url, {"@type": "CreativeWork"})) for url in PROFILES]
    crate.root_dataset["conformsTo"] = profiles
    for path in sorted(folder.iterdir()):
        if path.name != source:
            crate.add_file(
                str(path), path.name, properties={"encodingFormat": MEDIA_TYPES.get(path.suffix, "text/plain")}
            )
    action = _add_action(crate, run, verdict)
    if (folder / source).exists():
        language = crate.add(ComputerLanguage(crate, "https://jupyter.org", {"name": "Jupyter Notebook"}))
        workflow = crate.add_workflow(
            str(folder / source), source, main=True, lang=language, properties={"name": run.title}
        )
        action["instrument"] = workflow
    action["result"] = [entity for entity in crate.data_entities if entity.id not in (source, "./")]
    crate.root_dataset["mentions"] = action
    (folder / METADATA_FILE).write_text(json.dumps(crate.metadata.generate(), indent=1), encoding="utf-8")


def _add_action(crate: ROCrate, run: ReportRun, verdict: Verdict | None) -> ContextEntity:
    agent = crate.add(Person(crate, f"#person-{run.person}", {"name": run.person}))
    parameters = [
        crate.add(
            ContextEntity(crate, f"#parameter-{name}", {"@type": "PropertyValue", "name": name, "value": str(value)})
        )
        for name, value in run.parameters.items()
    ]
    used = (
        [crate.add(ContextEntity(crate, f"#dataset-{run.dataset.id}", {"@type": "Dataset", "name": run.dataset.name}))]
        if run.dataset
        else []
    )
    failed = verdict is not None and verdict.kind is VerdictKind.CANNOT_RUN
    properties = {
        "@type": "CreateAction",
        "name": f"Run of {run.title}",
        "startTime": (run.started_at or run.asked_at).isoformat(),
        "endTime": run.ended_at.isoformat(),
        "actionStatus": f"http://schema.org/{'Failed' if failed else 'Completed'}ActionStatus",
    }
    if verdict is not None and verdict.reason:
        properties["error"] = verdict.reason
    action = crate.add(ContextEntity(crate, f"#run-{run.id}", properties))
    action["agent"] = agent
    action["object"] = parameters + used
    return action
