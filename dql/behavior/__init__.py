"""The policies behind data made here: searched and kept small, or published.

Imports `dql.environments`, the schema and, for clones, `dql.diffusion`; knows no
dataset.

Public: `policies.train`, `kept`, `linear.LinearPolicies`, `clones.Clone`,
`snapshots.Snapshot`, `waypoints`, `rollout`.
"""
