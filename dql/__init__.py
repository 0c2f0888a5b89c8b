"""Diffusion-QL and its baselines: agents, data, evaluation, tables and figures."""
