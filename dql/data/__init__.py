"""Datasets: fetched, converted, made, checked, described; Minari files on disk.

D4RL's own files, Minari's remote, data rolled out here, D4RL's sets remade. Imports
environments, the behavior policies and `dql.results` for manifests and provenance.

Public: `datasets.load_dataset`, `d4rl`, `minari_remote`, `local`, `remade`, `antmaze`,
`checks`, `description`, `comparison`, `maze_comparison`, `policy_returns`.
"""
