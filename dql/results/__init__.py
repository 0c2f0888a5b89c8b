"""What runs left on disk: read, checked, judged and counted.

Runs and their provenance, cells over seeds, selection rules, statistics, the paper's
numbers, manifests of datasets. Reads files that others wrote and computes no gradient;
imports the schema of the configuration and the bandit's geometry.

Public: `runs`, `stored_runs`, `run_archives`, `cells`, `selection`, `statistics`,
`published`, `fingerprint`, `provenance`, `manifests`, `bandit_summary`.
"""
