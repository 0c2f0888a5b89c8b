"""The policies behind data made here: SAC's snapshots, or published ones.

What they are, how they are stored, what they return. Imports `dql.environments`, the
schema and, for clones, `dql.diffusion`; knows no dataset, and not how SAC is trained
(`dql.training.behavior`).

Public: `policies.load_behavior`, `kept`, `quality`, `clones.Clone`,
`snapshots.Snapshot`, `waypoints`, `rollout`.
"""
