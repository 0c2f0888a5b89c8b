"""One file for each method: its losses against its paper, one `update`, one `act`.

Settings stand beside, in `*settings.py` files that do not import torch. An agent knows
tensors (`dql.core`, `dql.diffusion`) and neither the loop, nor data, nor environments.

Public: `registry.SETTINGS`, `registry.agent_class`, the protocol `agent.Agent`.
"""
