"""Episodes of known lengths, which record the actions they were given."""

import threading

import numpy as np


class CountingEnvironment:
    """Episode e ends after e + 1 steps and pays 1 for each; records its actions.

    Like some environments it is one object that only one thread may step at a time,
    unless it is told to be shareable.
    """

    observation_dim, action_dim, horizon = 5, 3, 6

    def __init__(self, num_environments, is_shareable=False):
        self.is_shareable = is_shareable
        self.num_environments = num_environments
        self.seen = []

    def reset(self, seeds):
        self.seeds = list(seeds)
        self.elapsed = np.zeros(self.num_environments, dtype=int)
        self.is_busy = threading.Lock()
        return np.zeros((self.num_environments, 5))

    def step(self, actions, active):
        assert self.is_shareable or self.is_busy.acquire(blocking=False)
        self.elapsed[active] += 1
        self.seen.append({e: actions[e].copy() for e in np.flatnonzero(active)})
        ends = active & (np.arange(self.num_environments) < self.elapsed)
        if not self.is_shareable:
            self.is_busy.release()
        zeros = np.zeros((self.num_environments, 5))
        return zeros, active.astype(float), ends, np.zeros_like(ends)

    def actions(self):
        """Return every episode's actions in the order of time, one after the other."""
        episodes = range(self.num_environments)
        return [step[e] for e in episodes for step in self.seen if e in step]
