"""Datasets: fetched, converted, made, checked, described; Minari files on disk.

D4RL's own files, Minari's remote, data rolled out here, D4RL's sets remade. Imports
environments, the behavior policies and `dql.results` for manifests and provenance.

Public: `datasets.load_dataset`, `variants.load_variant`, `d4rl`, `minari_remote`,
`local`, `random_actions`, `remade`, `antmaze`, `checks`, `description`, `comparison`,
`maze_comparison`, `policy_returns`.
"""
