"""Many searches started, the promising ones finished, on one process or several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from dql.bars import progress_bar
from dql.behavior import search as policy_search
from dql.behavior.quality import LIKELY_SHARE, Evaluator
from dql.behavior.search import Search, SearchSettings, current_policy

if TYPE_CHECKING:
    from dql.config.schema import BehaviorConfig

logger = logging.getLogger(__name__)

CHECK_INTERVAL = 10
"""Iterations between looks at whether a search has reached its target."""


def run_searches(
    environment: str,
    physics: str,
    budget: BehaviorConfig,
    settings: SearchSettings,
    evaluator: Evaluator,
    num_processes: int = 1,
) -> tuple[list[Search], list[Search]]:
    """Start every candidate, keep those that rise fastest, run them to their end.

    Returns the finished searches and the candidates that were dropped.
    """
    num_warmup = min(settings.num_warmup_iterations, budget.num_iterations)
    num_more = budget.num_iterations - num_warmup
    total = settings.num_candidates * num_warmup + settings.num_searches * num_more
    seeds = np.random.SeedSequence(budget.seed).generate_state(settings.num_candidates)
    probe = evaluator.make(1)
    searches = [
        policy_search.start_search(int(seed), probe.observation_dim, probe.action_dim)
        for seed in seeds
    ]
    with (
        _mapping(num_processes) as map_function,
        progress_bar(f"searching {environment} policies", total) as progress,
    ):

        def advance(going: list[Search], num_iterations: int) -> list[Search]:
            step = partial(
                policy_search.advance,
                settings=settings,
                environment=environment,
                physics=physics,
                num_iterations=num_iterations,
            )
            results = []
            for search in map_function(step, going):
                results.append(search)
                progress(num_iterations)
            return results

        searches = advance(searches, num_warmup)
        searches.sort(key=lambda search: -search.mean_returns[-1])
        finished = _finish(
            searches[: settings.num_searches],
            budget.num_iterations,
            advance,
            partial(_has_arrived, settings=settings, evaluator=evaluator),
        )
    return finished, searches[settings.num_searches :]


@contextmanager
def _mapping(num_processes: int) -> Iterator[Callable[..., Iterable[Search]]]:
    """Yield `map`, spread over processes if there are several."""
    if num_processes == 1:
        yield map
        return
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _finish(
    searches: list[Search],
    num_iterations: int,
    advance: Callable[[list[Search], int], list[Search]],
    has_arrived: Callable[[Search], bool],
) -> list[Search]:
    """Advance the searches in turns until each has arrived or spent its iterations."""
    arrived: list[Search] = []
    going = searches
    while going:
        done = going[0].num_iterations
        going = advance(going, min(CHECK_INTERVAL, num_iterations - done))
        for search in going:
            logger.info(
                "search %d, iteration %d: perturbed policies return %.0f on average",
                search.seed,
                search.num_iterations,
                search.mean_returns[-1],
            )
        ended = [
            search.num_iterations >= num_iterations or has_arrived(search)
            for search in going
        ]
        arrived += [s for s, end in zip(going, ended, strict=True) if end]
        going = [s for s, end in zip(going, ended, strict=True) if not end]
    return sorted(arrived, key=lambda search: search.seed)


def _has_arrived(
    search: Search, settings: SearchSettings, evaluator: Evaluator
) -> bool:
    """Say whether the current policy reaches the target; look only when it might."""
    if search.mean_returns[-1] < LIKELY_SHARE * settings.target_return:
        return False
    policy = current_policy(search, settings.action_noise_std)
    purpose = f"target of {search.seed} at {search.num_iterations}"
    return evaluator.mean(policy, purpose) >= settings.target_return
