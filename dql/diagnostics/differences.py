"""What differs between a stored run and what would train now, before it does.

Other settings, physics or data make another experiment: a `UserError`. Other code,
versions, processor or device may still give the same numbers: a sentence each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dql.config.schema import RunConfig
from dql.errors import UserError
from dql.results.fingerprint import code_of_run
from dql.results.runs import StoredRun, config_differences, evaluation_problems
from dql.results.stored_runs import Address, RecordedRun

MAKERS = ("torch", "numpy", "scipy", "gymnasium", "gymnasium-robotics", "mujoco")
"""Packages whose version can change a number of a run."""


def with_steps(run: RunConfig, num_steps: int) -> RunConfig:
    """Return the run with another number of gradient steps."""
    training = run.training.model_copy(update={"num_gradient_steps": num_steps})
    return run.model_copy(update={"training": training})


def stored_steps(stored: StoredRun) -> int:
    """Return the gradient steps that a stored run was asked for."""
    return int(stored.config["training"]["num_gradient_steps"])


def last_record(stored: StoredRun, num_steps: int) -> int:
    """Return the last step up to `num_steps` at which the stored run had to record.

    A re-run records its last step in any case, which is none of these.
    """
    training = stored.config["training"]
    if num_steps == training["num_gradient_steps"]:
        return num_steps
    intervals = training["log_interval"], training["evaluation_interval"]
    return max(num_steps - num_steps % interval for interval in intervals)


def check_sound(stored: StoredRun, address: Address) -> None:
    """Raise if a stored run's record is not whole; one that diverged has less."""
    problems = [] if stored.diverged else evaluation_problems(stored)
    if problems:
        raise UserError(
            f"cannot compare with {address.path}: {'; '.join(problems)}; bring it back "
            "from where it was stored, or train it again"
        )


def check_settings(run: RunConfig, stored: StoredRun, address: Address) -> None:
    """Raise if the run has other settings or physics than the stored one."""
    here = with_steps(run, stored_steps(stored)).model_dump(mode="json")
    differences = config_differences(here, stored.config)
    if differences:
        listed = "\n  ".join(
            text.replace(" is ", " is now ", 1).replace(", expected ", ", stored ")
            for text in differences
        )
        raise UserError(
            f"cannot compare with {address.path}, which is another experiment than the "
            f"configuration's:\n  {listed}\nNothing was trained. Choose the stored "
            "run's settings with --scale and --set (such as --set physics=stock), or "
            "take the code that it was made with"
        )


def check_steps(num_steps: int, stored: StoredRun) -> None:
    """Raise unless a stored run is at least as long as its re-run."""
    total = stored_steps(stored)
    if num_steps > total:
        raise UserError(
            f"--steps {num_steps}: the stored run has {total:,} gradient steps; ask "
            "for as many or fewer"
        )


def check_recorded(stored: RecordedRun, num_steps: int, *, same_draws: bool) -> None:
    """Raise if the stored run recorded nothing that a re-run so short can be held to.

    Metrics of other noise or other rows of data are no measure, only evaluations are.
    """
    tables = [stored.run.evaluations, *([stored.metrics] if same_draws else [])]
    first = [int(table["gradient_step"].min()) for table in tables if len(table)]
    if not first and stored.run.diverged:
        return
    if not first or min(first) > num_steps:
        what = "record" if same_draws else "evaluation (its metrics are of other noise)"
        where = f"at gradient step {min(first):,}" if first else "missing"
        raise UserError(
            f"--steps {num_steps}: nothing to compare, the stored run's first {what} "
            f"is {where}"
        )


def maker_differences(
    run: RunConfig, stored: StoredRun, made: Mapping[str, Any], block_size: int = 1
) -> Iterator[str]:
    """Yield a sentence for what made the stored run and is another now.

    `made` are today's versions, machine and device; `block_size` the runs that the
    workflow trains together.
    """
    before = stored.provenance
    code = code_of_run(run.model_dump(mode="json"))
    versions = before.get("versions") or {}
    processors = [(one.get("machine") or {}).get("processor") for one in (before, made)]
    pairs = [
        ("code", before.get("code_fingerprint"), code),
        ("device", before.get("device"), made["device"]),
        ("processor", *processors),
        *((name, versions.get(name), made["versions"].get(name)) for name in MAKERS),
    ]
    for name, then, now in pairs:
        if then != now:
            yield f"{name}: stored {then or 'unknown'}, now {now or 'unknown'}"
    if block_size > 1:
        yield (
            f"company: the workflow trains {block_size} runs together, a re-run is "
            "alone, and may round otherwise"
        )


def is_on_processor(made: Mapping[str, Any]) -> bool:
    """Tell whether a run was made on a processor; a GPU draws other noise."""
    return made.get("device") == "cpu"
