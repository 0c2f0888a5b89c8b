"""The bundle's metadata: one run of the workflow, as a Workflow Run RO-Crate.

Profile: Workflow Run Crate 0.5 on RO-Crate 1.1, https://w3id.org/ro/wfrun/workflow/0.5.
The Snakefile is the workflow, the run that made the results an action of it: what it
read, what it made, when, and whether it was finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from dql.publication.origins import Commit

METADATA = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LICENSE = "https://spdx.org/licenses/MIT"
FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".lock": "text/plain",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True)
class Contents:
    """What a bundle holds, as its metadata tells it; paths are the bundle's own.

    `inputs` and `results` are files and folders (ending in `/`) that the run read and
    made, `others` the rest, each with a sentence; `versions` are packages' versions.
    """

    citation: Mapping[str, Any]
    commit: Commit
    scale: str
    inputs: Mapping[str, str]
    results: Mapping[str, str]
    others: Mapping[str, str]
    versions: Mapping[str, str]
    runs: Sequence[Mapping[str, Any]]


def describe(contents: Contents) -> str:
    """Return ro-crate-metadata.json; the same contents give the same text."""
    crate = ROCrate(version="1.1")
    _describe_root(crate, contents)
    workflow = _add_workflow(crate, contents)
    inputs = [_add(crate, path, name) for path, name in contents.inputs.items()]
    results = [_add(crate, path, name) for path, name in contents.results.items()]
    for path, name in contents.others.items():
        _add(crate, path, name)
    action = _add_action(crate, contents, workflow, inputs, results)
    crate.root_dataset["mentions"] = action
    crate.get("README.md")["about"] = crate.root_dataset
    return json.dumps(crate.metadata.generate(), indent=2) + "\n"


def _describe_root(crate: ROCrate, contents: Contents) -> None:
    """Say what the whole is, whose, under which licence, of which profiles."""
    root, citation = crate.root_dataset, contents.citation
    root["name"] = f"{citation['title']}, scale {contents.scale}"
    root["description"] = (
        f"Code at commit {contents.commit.digest}, configuration, results page, "
        "claims, tables, figures and the metrics of every run."
    )
    root["datePublished"] = contents.commit.date
    root["version"] = citation["version"]
    mit = {"@type": "CreativeWork", "name": "MIT", "description": "MIT License"}
    root["license"] = crate.add(ContextEntity(crate, LICENSE, mit))
    authors = [_author(crate, author) for author in citation["authors"]]
    root["author"] = root["publisher"] = _single(authors)
    root["citation"] = crate.add(_paper(crate, citation["preferred-citation"]))
    root["conformsTo"] = [
        crate.add(
            ContextEntity(
                crate, url, {"@type": "CreativeWork", "name": n, "version": v}
            )
        )
        for url, (n, v) in PROFILES.items()
    ]


def _single(values: Sequence[Any]) -> Any:
    """Return one value by itself, as RO-Crate wants it, several as a list."""
    return values[0] if len(values) == 1 else list(values)


def _author(crate: ROCrate, author: Mapping[str, str]) -> Entity:
    name = author["name"]
    properties = {"@type": "Organization", "name": name}
    return crate.add(ContextEntity(crate, f"#{name.replace(' ', '-')}", properties))


def _paper(crate: ROCrate, paper: Mapping[str, Any]) -> Entity:
    """Return the paper whose method is reproduced."""
    authors = [f"{a['given-names']} {a['family-names']}" for a in paper["authors"]]
    properties = {
        "@type": "ScholarlyArticle",
        "name": paper["title"],
        "datePublished": str(paper["year"]),
        "creditText": ", ".join(authors),
    }
    return ContextEntity(crate, paper["url"], properties)


def _add_workflow(crate: ROCrate, contents: Contents) -> Entity:
    """Add the Snakefile as the crate's main entity."""
    properties = {
        "name": "From data to the paper's tables, figures and judged claims",
        "version": contents.citation["version"],
        "encodingFormat": "text/plain",
        "conformsTo": {"@id": BIOSCHEMAS},
    }
    return crate.add_workflow(
        dest_path=WORKFLOW,
        main=True,
        lang="snakemake",
        lang_version=contents.versions.get("snakemake"),
        properties=properties,
    )


def _add(crate: ROCrate, path: str, name: str) -> Entity:
    """Add a file or a folder of the bundle; of its known format where it has one."""
    if path.endswith("/"):
        return crate.add_dataset(dest_path=path, properties={"name": name})
    properties = {"name": name}
    if known := FORMATS.get(PurePosixPath(path).suffix):
        properties["encodingFormat"] = known
    return crate.add_file(dest_path=path, properties=properties)


def _add_action(
    crate: ROCrate,
    contents: Contents,
    workflow: Entity,
    inputs: Sequence[Entity],
    results: Sequence[Entity],
) -> Entity:
    """Add the run of the workflow, from its first training run to its last."""
    ends = [datetime.fromisoformat(run["finished_at"]) for run in contents.runs]
    starts = [
        end - timedelta(seconds=float(run["wall_seconds"]))
        for run, end in zip(contents.runs, ends, strict=True)
    ]
    software = ", ".join(f"{n} {v}" for n, v in contents.versions.items())
    properties = {
        "@type": "CreateAction",
        "name": f"The workflow at scale {contents.scale}: {len(ends)} training runs",
        "description": f"Made with {software}.",
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "startTime": min(starts).isoformat(timespec="seconds"),
        "endTime": max(ends).isoformat(timespec="seconds"),
    }
    action = crate.add(ContextEntity(crate, "#run", properties))
    action["instrument"] = workflow
    action["object"] = list(inputs)
    action["result"] = list(results)
    action["agent"] = crate.root_dataset["author"]
    return action
