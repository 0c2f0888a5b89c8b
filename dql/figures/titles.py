"""What figures are called where they are listed: in the report and on the results page.

The report sorts by these; the numbers give the order of reading.
"""

from __future__ import annotations

TITLES = {
    "bandit_axes": "1 modes on the axes, all methods",
    "bandit_corners": "2 modes in the corners, all methods",
    "bandit_denoising_steps": "3 number of denoising steps N",
    "bandit_eta": "4 weight eta of the Q term",
    "bandit_modes": "5 modes kept as eta grows",
    "bandit_trajectories": "6 reverse chains",
    "bandit_as_released": "7 supplement: panels as released",
    "bandit_classes": "8 classes of generative policies under one Q term",
    "learning_curves": "1 learning curves",
    "loss_against_score": "2 denoising loss against score",
    "selection_gap": "3 what choosing the best evaluation gains",
    "performance_profiles": "4 performance profiles",
    "action_modes": "5 modes kept as eta grows",
    "medium_expert": "0 learning curves on medium-expert data",
    "other_methods": "6 learning curves of methods not run on every task",
    "online": "8 going on with fresh data",
    "noise": "9 noise on the data, and fewer of them",
    "ways": "5 two equally good ways: how many are kept",
    "stills": "9 what the policies do",
    "sweeps": "7 eta, N and other settings, one at a time",
}
"""A bandit's figure, or a kind of a suite's figures, by name."""
