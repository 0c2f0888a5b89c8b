"""What holds and what does not, in three sentences counted from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dql.claims.file import FAILS, HOLDS
from dql.claims.records import REMADE, RUNS

Record = Mapping[str, Any]
Claims = Sequence[Sequence[Record]]

MAX_NAMED = 3
"""Claims that a sentence names; the scoreboard has all of them."""


def sentences(records: Sequence[Record]) -> list[str]:
    """Return what holds in runs made here, what does not, and what runs do not decide.

    Each claim of the paper is counted once. It holds in runs if it does on every ground
    where runs decided it; the leading claims of `workflow/claims.yaml` are named first.
    """
    claims = _by_claim([record for record in records if record["origin"] == "paper"])
    run = [claim for claim in claims if _verdicts(claim, runs=True)]
    failed = [claim for claim in run if FAILS in _verdicts(claim, runs=True)]
    held = [claim for claim in run if claim not in failed]
    others = [claim for claim in claims if claim not in run]
    return [_held(held, run), _failed(failed), _others(others, claims)]


def _by_claim(records: Sequence[Record]) -> Claims:
    """Return each claim's records, leading claims first."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["name"], []).append(record)
    return sorted(found.values(), key=lambda claim: not claim[0]["leading"])


def _is_run(record: Record) -> bool:
    """Tell whether a verdict comes from runs made here, not from print or settings."""
    return record["section"] == "bandit" or record["where"] in (RUNS, REMADE)


def _verdicts(claim: Sequence[Record], *, runs: bool) -> set[str]:
    """Return the verdicts that decide a claim, by runs or otherwise."""
    decided = [r for r in claim if r["verdict"] in (HOLDS, FAILS)]
    return {record["verdict"] for record in decided if _is_run(record) is runs}


def _held(held: Claims, run: Claims) -> str:
    if not run:
        return "No claim of the paper has been decided by runs made here."
    count = f"{len(held)} of the {len(run)} claims that runs made here decide"
    return f"{count} hold on every ground tried{_named(held)}."


def _failed(failed: Claims) -> str:
    if not failed:
        return "None fails in runs made here."
    count = _counted(len(failed), "fails", "fail")
    named = _named(failed, where=True)
    return f"{count} on at least one ground at this scale{named}."


def _others(others: Claims, claims: Claims) -> str:
    """Return how claims stand that no run decides: in print, by settings, or not."""
    decided = [_verdicts(claim, runs=False) for claim in others]
    num_held = sum(verdicts == {HOLDS} for verdicts in decided)
    num_failed = sum(FAILS in verdicts for verdicts in decided)
    num_open = len(others) - num_held - num_failed
    return (
        f"Of all {len(claims)} claims of the paper, {len(others)} rest on no run made "
        f"here: by print or the settings on file {_counted(num_held, 'holds', 'hold')} "
        f"and {_counted(num_failed, 'fails', 'fail')}, "
        f"{_counted(num_open, 'is', 'are')} not tested."
    )


def _counted(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


def _named(claims: Claims, *, where: bool = False) -> str:
    """Return the first claims in quotes, after a colon; with the grounds of failure."""
    quoted = []
    for claim in claims[:MAX_NAMED]:
        grounds = [r["where"] for r in claim if _is_run(r) and r["verdict"] == FAILS]
        place = f" ({', '.join(grounds)})" if where else ""
        quoted.append(f"“{claim[0]['statement'].rstrip('.')}”{place}")
    more = len(claims) - len(quoted)
    ending = [f"and {more} more"] if more else []
    return f": {'; '.join(quoted + ending)}" if quoted else ""
