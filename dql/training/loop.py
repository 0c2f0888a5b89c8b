"""The training loop: a block of runs in lock step, each with its own files.

It knows no agent by name. A run's folder is the same whether it trained alone or in
company, and a run that was stopped goes on from its checkpoint as if it had not been.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from dql.config.schema import RunConfig
from dql.environments.batch import make_environments
from dql.files import locked, remove_temporaries
from dql.training.block_checks import (
    check_block,
    check_devices,
    common_first_step,
    warn_of_rates,
)
from dql.training.checkpoint import promote, save_checkpoint, stack_states
from dql.training.evaluators import make_evaluator
from dql.training.gradient_steps import make_steps, training_streams
from dql.training.interaction import make_interaction
from dql.training.metrics_log import log_metrics
from dql.training.online_start import find_start
from dql.training.process import (
    StopSignals,
    choose_device,
    keep_freed_memory,
    readable_device_errors,
    set_precision,
)
from dql.training.progress import Progress
from dql.training.records import Clock, MetricSums
from dql.training.run_files import (
    how_made,
    write_finished,
    write_records,
    write_start,
)
from dql.training.runs import Run, make_agent, make_store, prepare_runs

logger = logging.getLogger(__name__)


def train(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    *,
    foreign_checkpoint: Literal["refuse", "discard"] = "refuse",
    device: str = "auto",
    num_threads: int = 1,
) -> None:
    """Train runs of one agent side by side and write their folders.

    Finished runs are left alone, interrupted ones resumed, on the kind of device that
    they began on. `device` is auto (a GPU where there is one), cpu or cuda. Runs that
    stand at different steps train one group after the other. While another process
    trains one of the runs, this one waits and then takes over what is left to do. A
    gradient step uses one thread of the processor, an evaluation `num_threads`.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    check_block(configs)
    training = configs[0].training
    # First: a lock's file would leave the folder of a run that is refused.
    starts = list(map(find_start, configs, directories))
    with ExitStack() as locks:
        for directory in sorted(set(directories)):
            locks.enter_context(locked(directory))
            remove_temporaries(directory)
        runs = prepare_runs(configs, directories, foreign_checkpoint, starts)
        if not runs:
            return
        with readable_device_errors(len(runs), training.batch_size):
            chosen = choose_device(device)
            set_precision(training.precision, chosen)
        check_devices(runs, chosen)
        with StopSignals() as signals:
            for step in sorted({run.step for run in runs}):
                if signals.received:
                    signals.stop("stopped between two groups of runs")
                group = [run for run in runs if run.step == step]
                with readable_device_errors(len(group), training.batch_size):
                    Block(group, chosen, num_threads).train(signals)


class Block:
    """Runs that train in lock step through one set of stacked parameters."""

    def __init__(
        self, runs: Sequence[Run], device: torch.device, num_threads: int = 1
    ) -> None:
        self.runs = list(runs)
        self.start = runs[0].step
        self.device = device
        self.training = runs[0].config.training
        self.store = make_store(runs, device)
        self.agent = make_agent(runs, self.store, device)
        self.first_step = common_first_step(runs)  # of the agent, where a run is at 0
        warn_of_rates(self.agent, runs[0])
        checkpoints = [run.checkpoint or run.start for run in runs]
        if all(checkpoints):
            tensors = stack_states([c.of_agent for c in checkpoints])
            self.agent.load_state(tensors, checkpoints[0].num_updates)
        self.interaction = make_interaction(
            runs, self.agent, self.store, self.first_step
        )
        count = self.training.num_evaluation_episodes
        self.environments = [
            make_environments(run.config.environment, count) for run in runs
        ]
        self.evaluator = make_evaluator(self.agent, self.environments, num_threads)
        self.metrics = MetricSums([run.records.pending for run in runs])
        self.clock = Clock()
        self.checkpoint_is_due = False

    def train(self, signals: StopSignals) -> None:
        """Take the remaining gradient steps, recording at the intervals."""
        streams = self.interaction or training_streams(
            self.agent, self.store, self.training.batch_size
        )
        last = done = self.training.num_gradient_steps
        for run in self.runs:
            self._start(run)
        steps = make_steps(self.agent, self.store)
        with Progress(self.runs, self.start, last) as progress, self.evaluator:
            if self.interaction and self.start == 0:
                self._evaluate(0)
            for step in range(self.start, last):
                noise = streams.at(step)
                self.metrics.add(steps.take(self.first_step + step, noise))
                progress.advance(step + 1)
                self._record(step + 1, progress, signals)
                if self.all_diverged:
                    done = step + 1
                    break
        for run in self.runs:
            write_records(run.directory, run.config, run.records)
            write_finished(
                run.directory,
                run.config,
                run.records,
                num_steps=done,
                identity=run.identity,
                reference_scores=run.dataset.manifest.get("reference_scores"),
                diverged=run.diverged,
            )

    def _start(self, run: Run) -> None:
        """Write the run's first file; say so where its checkpoint leaves no step."""
        write_start(run.directory, run.config)
        if self.start < self.training.num_gradient_steps:
            run.records.add_session(self.start, how_made(self.device))
        else:
            logger.info(
                "%s: all %d steps are in its checkpoint; its files are written from it "
                "and nothing is trained. To train it again, remove that folder first",
                run.directory,
                self.start,
            )

    @property
    def all_diverged(self) -> bool:
        """Tell whether no run of the block is left to train."""
        return all(run.diverged for run in self.runs)

    def _record(self, done: int, progress: Progress, signals: StopSignals) -> None:
        """Do what is due after `done` steps: log, evaluate, save, stop."""
        is_last = done == self.training.num_gradient_steps
        evaluates = is_last or done % self.training.evaluation_interval == 0
        if evaluates or done % self.training.log_interval == 0:
            self._log(done)
        if evaluates and not self.all_diverged:
            self._collect(progress, waits=True)
            self._evaluate(done)
        stops = signals.received is not None  # once: one may arrive while saving
        ends = is_last or stops or self.all_diverged
        self._collect(progress, waits=ends)
        self.checkpoint_is_due |= done % self.training.checkpoint_interval == 0
        # A state without an evaluation that has begun could not go on bit for bit.
        if ends or (self.checkpoint_is_due and not self.evaluator.is_pending):
            self._save(done)
        if stops and not is_last and not self.all_diverged:
            signals.stop(f"stopped at step {done}; the checkpoint is written")

    def _log(self, step: int) -> None:
        """Record each run's mean metrics and mark the runs that left the numbers."""
        means = self.metrics.means_and_reset()
        for position, run in enumerate(self.runs):
            if not run.diverged:
                row = {name: float(value[position]) for name, value in means.items()}
                log_metrics(run, step, row)

    def _evaluate(self, step: int) -> None:
        """Begin to evaluate every run that is still sound."""
        excluded = [i for i, run in enumerate(self.runs) if run.diverged]
        self.clock.stop_training()
        self.evaluator.start(self.first_step + step, excluded)
        self.clock.start_training()

    def _collect(self, progress: Progress, *, waits: bool) -> None:
        """Record an evaluation that has come in; show the mean return."""
        if not self.evaluator.is_pending:
            return
        self.clock.stop_training()
        evaluated = self.evaluator.take(waits=waits)
        self.clock.start_training()
        if evaluated is None:
            return
        returns = []
        for position, run in enumerate(self.runs):
            if position not in evaluated.excluded:
                evaluation = evaluated.evaluations[position]
                step = evaluated.step - self.first_step
                run.records.add_evaluation(evaluation, step)
                returns.append(evaluation.episode_returns.mean())
        progress.score = float(np.mean(returns))

    def _save(self, step: int) -> None:
        """Write checkpoints and records; a diverged run keeps its last good one."""
        self.checkpoint_is_due = False
        training_seconds, wall_seconds = self.clock.read_and_reset()
        is_cuda = self.device.type == "cuda"
        for position, run in enumerate(self.runs):
            run.records.add_cost(training_seconds, wall_seconds, is_cuda)
            if not run.diverged:
                run.records.pending = self.metrics.of_run(position)
                save_checkpoint(
                    run.directory,
                    self.agent,
                    position,
                    step,
                    run.records,
                    run.identity,
                    self.interaction.state(position) if self.interaction else None,
                )
        for run in self.runs:
            if not run.diverged:
                promote(run.directory)
        for run in self.runs:
            write_records(run.directory, run.config, run.records)
