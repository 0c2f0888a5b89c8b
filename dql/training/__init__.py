"""The loop over a block of runs, evaluation, checkpoints, devices and cost.

One loop for every method: it asks the protocol `dql.agents.agent` and knows no agent by
name. Imports everything below and no table, figure or claim.

Public: `loop.train`, `behavior.train`, `evaluation.evaluate`, `checkpoint`, `plan`,
`gpus`.
"""
