"""What tests train where any finished run will do."""

from types import SimpleNamespace

import numpy as np

TINY_BANDIT = {
    "suites": {
        "bandit": {
            "training": {
                "num_gradient_steps": 3,
                "log_interval": 3,
                "evaluation_interval": 3,
                "checkpoint_interval": 3,
                "num_evaluation_episodes": 12,
            },
            "num_transitions": 100,
        }
    }
}


def actions_that_pay(num_episodes, length, largest):
    """Return episodes whose one action, up to so large, is what each step pays."""
    generator = np.random.default_rng(0)
    drawn = generator.uniform(-largest, largest, num_episodes)
    actions = np.repeat(drawn, length)[:, None]
    size = len(actions)
    observations = generator.standard_normal((size, 2)).astype(np.float32)
    return SimpleNamespace(
        observations=observations,
        actions=actions,
        rewards=actions[:, 0],
        next_observations=np.roll(observations, -1, axis=0),
        terminations=(np.arange(size) % length == length - 1).astype(float),
    )
