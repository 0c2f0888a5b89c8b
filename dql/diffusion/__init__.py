"""The conditional diffusion policy (Section 3), its chain, and its relatives.

Noise schedule, noise predictor, the reverse chain with its written-out derivative, a
fast deterministic sampler; a flow and a consistency policy; published EDM models of
recorded data. Imports `dql.core` only.

Public: `policy.Diffusion`, `noise_predictor.NoisePredictor`, `flow`, `consistency`,
`dpm_solver`, `edm`.
"""
