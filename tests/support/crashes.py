"""Training that is killed, or loses power, and starts again: campaigns for the tests.

A campaign runs in one fresh process that forks every training from itself: torch and
the configuration are loaded once, and no test runner's threads are copied.
"""

import functools
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from safetensors import safe_open

from dql import paths
from dql.config.project import load_project
from dql.files import TEMPORARY
from dql.training import loop as training
from dql.training.checkpoint import checkpoint_file
from dql.training.gradient_steps import EagerSteps
from dql.training.loop import train
from dql.training.process import STOP_SIGNALS

SIZES = {
    "num_gradient_steps": 6,
    "batch_size": 8,
    "log_interval": 2,
    "evaluation_interval": 3,
    "checkpoint_interval": 3,
    "num_evaluation_episodes": 4,
}
POWER_LOSS = 77
"""Exit code of a training whose power was cut."""
PHASES = ("start", "training", "evaluation", "writing")
PATIENCE = 60.0
COSTS = ("wall_seconds", "training_seconds", "peak_memory_bytes", "saved_at")
"""Records that differ from one training of a run to the next."""


def make_configs(method="td3_bc", seeds=(0, 1), **sizes):
    """Return the configurations of a tiny block of bandit runs."""
    project = load_project(scale="smoke")
    runs = [project.run_config("bandit-axes", method, seed) for seed in seeds]
    changed = runs[0].training.model_copy(update=SIZES | sizes)
    settings = runs[0].settings | {"hidden_dim": 16}
    update = {"training": changed, "settings": settings}
    return [run.model_copy(update=update) for run in runs]


def folders(root, configs):
    """Return the folder of every run."""
    return [root / f"seed{config.seed}" for config in configs]


def results(root, configs):
    """Return all that must be equal, bit for bit: files, weights, records."""
    found = {}
    for folder in folders(root, configs):
        for name in (paths.METRICS_FILE, paths.EVALUATIONS_FILE, paths.SAMPLES_FILE):
            found[folder.name, name] = (folder / name).read_bytes()
        with safe_open(checkpoint_file(folder), framework="np") as file:
            header = json.loads(file.metadata()["header"])
            for name in file.keys():  # noqa: SIM118
                found[folder.name, name] = file.get_tensor(name).tobytes()
        for cost in COSTS:
            del header["records"][cost]
        found[folder.name, "header"] = header
        config = json.loads((folder / paths.CONFIG_FILE).read_text())
        found[folder.name, "config"] = config
    return found


def leftovers(root):
    """Return the names of half-written files."""
    return [path.name for path in root.rglob(f"*{TEMPORARY}")]


def campaign(function, *arguments):
    """Call a function of this module in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result(timeout=1800)


def _start(configs, root, prepare=None):
    """Fork a training; `prepare` is called in it first."""

    def run():
        if prepare:
            prepare()
        train(configs, folders(root, configs))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def _finish(configs, root):
    """Train to the end without disturbance."""
    process = _start(configs, root)
    process.join()
    assert process.exitcode == 0, f"{root}: the next start ended {process.exitcode}"


def _undisturbed(configs, root):
    """Train in this process, which loads and caches all that its children need."""
    train(configs, folders(root / "straight", configs))
    return results(root / "straight", configs)


class PowerLoss:
    """Cuts the power before the chosen one of the calls that change the disk.

    What was not synced is lost, in one of the two ways that a file system may choose:
    a rename or a removal whose folder was not synced is undone where `forgets`; and a
    file that was renamed before its content was synced is empty.
    """

    def __init__(self, at, forgets, report):
        self.at, self.forgets, self.report = at, forgets, report
        self.calls = []
        self.changes = []  # (folder's inode, path, content before or None)
        self.synced = set()
        self.unsynced = []

    def install(self):
        for name in ("replace", "unlink", "fsync", "chmod"):
            setattr(os, name, functools.partial(getattr(self, name), getattr(os, name)))

    def call(self, name):
        self.calls.append(name)
        self.report.value = len(self.calls)
        if len(self.calls) != self.at:
            return
        if self.forgets:
            for _, path, before in reversed(self.changes):
                if before is None:
                    Path(path).unlink(missing_ok=True)
                else:
                    Path(path).write_bytes(before)
        for path in self.unsynced:
            Path(path).write_bytes(b"")
        os._exit(POWER_LOSS)

    def remember(self, path):
        path = Path(path)
        if path.name.endswith(TEMPORARY):
            return
        before = path.read_bytes() if path.exists() else None
        self.changes.append((path.parent.stat().st_ino, path, before))

    def replace(self, real, source, destination):
        self.call("replace")
        if os.stat(source).st_ino not in self.synced:  # noqa: PTH116
            self.unsynced.append(destination)
        self.remember(source)
        self.remember(destination)
        real(source, destination)

    def unlink(self, real, path, **options):
        if os.path.exists(path):  # noqa: PTH110
            self.call("unlink")
            self.remember(path)
        real(path, **options)

    def fsync(self, real, handle):
        self.call("fsync")
        real(handle)
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            self.changes = [c for c in self.changes if c[0] != found.st_ino]
        else:
            self.synced.add(found.st_ino)

    def chmod(self, real, path, *arguments, **options):
        self.call("chmod")
        real(path, *arguments, **options)


def power_losses(configs, root, share, seed):
    """Cut the power at a share of all calls and compare; return (points, failures)."""
    expected = _undisturbed(configs, root)
    report = multiprocessing.get_context("fork").Value("i", 0)
    whole = _start(configs, root / "counted", PowerLoss(0, False, report).install)
    whole.join()
    assert whole.exitcode == 0
    num_calls = report.value
    points = [(at, lost) for at in range(1, num_calls + 1) for lost in (False, True)]
    generator = random.Random(seed)
    points = sorted(generator.sample(points, max(1, round(share * len(points)))))
    failures = []
    for at, forgets in points:
        folder = root / f"{at}-{forgets}"
        process = _start(configs, folder, PowerLoss(at, forgets, report).install)
        process.join()
        assert process.exitcode == POWER_LOSS, (at, process.exitcode)
        _finish(configs, folder)
        found = results(folder, configs)
        different = [key for key in expected if expected[key] != found[key]]
        if different or leftovers(folder):
            failures.append((at, forgets, different, leftovers(folder)))
        shutil.rmtree(folder)
    return points, failures


def _show_phases(phase):
    """Let the process say what it is doing, in a value shared with its parent."""

    def showing(number, function):
        @functools.wraps(function)
        def shown(*arguments, **options):
            before, phase.value = phase.value, number
            try:
                return function(*arguments, **options)
            finally:
                phase.value = before

        return shown

    training.Block._evaluate = showing(2, training.Block._evaluate)
    training.Block._save = showing(3, training.Block._save)
    training.write_finished = showing(3, training.write_finished)
    EagerSteps.take = showing(1, EagerSteps.take)


def kills(configs, root, num_kills, seed):
    """Kill trainings at random moments of each phase until so many are dead.

    Every training is started again until it ends, then compared with an undisturbed
    one. Returns the kills as (phase, signal, exit code) and what differed.
    """
    generator = random.Random(seed)
    expected = _undisturbed(configs, root)
    phase = multiprocessing.get_context("fork").Value("i", 0, lock=False)
    done, failures, rounds = [], [], 0
    while len(done) < num_kills:
        folder = root / f"round{rounds}"
        rounds += 1
        while True:
            phase.value = 0
            process = _start(configs, folder, functools.partial(_show_phases, phase))
            number = signal.SIGKILL
            if len(done) % 4 == 3:
                number = generator.choice(STOP_SIGNALS)
            wanted = 1 + len(done) % 3 if len(done) < num_kills else None
            killed_in = _kill(process, number, wanted, phase, generator)
            process.join()
            if process.exitcode == 0:
                break
            done.append((PHASES[killed_in], number.name, process.exitcode))
        found = results(folder, configs)
        failures += [key for key in expected if expected[key] != found[key]]
        failures += leftovers(folder)
    return done, failures


def _kill(process, number, wanted, phase, generator):
    """Send the signal a moment after the phase has begun once or more."""
    if wanted is None:
        return 0
    end = time.monotonic() + PATIENCE
    for _ in range(generator.randint(1, 4)):
        for is_there in (False, True):
            while (phase.value == wanted) != is_there and process.exitcode is None:
                assert time.monotonic() < end, "the training hangs"
    end = time.perf_counter() + generator.random() * 2e-3
    while time.perf_counter() < end:
        pass
    seen = phase.value
    if process.exitcode is None:
        os.kill(process.pid, number)
    return seen
