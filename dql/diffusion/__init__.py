"""The conditional diffusion policy (Section 3), its chain, and its relatives.

Noise schedule, noise predictor, the reverse chain with its written-out derivative, a
fast deterministic sampler; a flow and a consistency policy; denoisers at any level of
noise, and by their errors what the data do not hold; published EDM models of recorded
data. Imports `dql.core` only.

Public: `policy.Diffusion`, `noise_predictor.NoisePredictor`, `flow`, `consistency`,
`dpm_solver`, `denoiser`, `data_models`, `edm`.
"""
