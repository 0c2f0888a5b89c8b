"""Arithmetic of stacked runs: tensors whose leading axis holds R independent runs.

Networks and policies as networks, one function per equation of a loss, the optimiser
and what follows it, noise streams, batches, and the C kernels behind them. Knows no
method, no environment, no file: it imports nothing of dql but the ground.

Public: `networks`, `policy_networks`, `dynamics`, `losses`, `optimization`, `noise`,
`batch`, `kernels`, `array_shapes`.
"""
