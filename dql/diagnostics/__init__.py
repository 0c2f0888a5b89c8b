"""Finished runs asked again: chains, modes of actions, one cell re-run and compared.

The only place above training that runs a policy. Imports everything below it.

Public: `trajectories`, `action_samples`, `cell_rerun`, `cell_report`, `cell_list`.
"""
