"""Small agents and batches for the tests of the training core."""

from types import SimpleNamespace

import numpy as np
import torch

from dql.agents.agent import AgentSpec
from dql.agents.registry import SETTINGS, agent_class
from dql.agents.sharing import NUMERIC_SETTINGS
from dql.core.noise import Draw, NoiseStreams
from dql.core.optimization import Adam
from dql.core.windows import make_row_store
from dql.diffusion.noise_predictor import NoisePredictor, sinusoidal_embedding
from dql.diffusion.policy import Diffusion

PLANS = {
    "horizon": 4,
    "channels": 16,
    "channel_levels": "1-2",
    "num_denoising_steps": 4,
    "actor_ema_interval": 2,
    "actor_ema_start": 3,
    "termination_reward": -1.0,
}
SMALL = {
    "bc_mle": {"hidden_dim": 16},
    "bc_mdn": {"hidden_dim": 16},
    "bc_cvae": {"hidden_dim": 16},
    "bc_mmd": {"hidden_dim": 16, "num_mmd_samples": 4},
    "bc_diffusion": {"hidden_dim": 16, "num_denoising_steps": 4},
    "td3_bc": {"hidden_dim": 16},
    "ql_mle": {"hidden_dim": 16},
    "ql_mdn": {"hidden_dim": 16},
    "bcq": {"hidden_dim": 16, "behavior_hidden_dim": 16, "num_candidates": 5},
    "bcq_diffusion": {
        "hidden_dim": 16,
        "behavior_hidden_dim": 16,
        "num_denoising_steps": 4,
        "num_candidates": 5,
    },
    "bear_mmd": {"hidden_dim": 16, "behavior_hidden_dim": 16, "num_mmd_samples": 4},
    "cvae_ql": {"hidden_dim": 16, "behavior_hidden_dim": 16, "actor_ema_start": 3},
    "diffusion_ql": {
        "hidden_dim": 16,
        "num_denoising_steps": 4,
        "num_candidates": 5,
        "actor_ema_start": 3,
        "max_gradient_norm": 1.0,
    },
    "flow_ql": {
        "hidden_dim": 16,
        "num_flow_steps": 4,
        "num_candidates": 5,
        "actor_ema_start": 3,
        "max_gradient_norm": 1.0,
    },
    "consistency_ql": {
        "hidden_dim": 16,
        "num_curriculum_steps": 30,
        "num_candidates": 5,
        "actor_ema_start": 3,
        "max_gradient_norm": 1.0,
    },
    "bet": {"hidden_dim": 16, "num_bins": 4, "num_binning_steps": 5},
    "edp": {
        "hidden_dim": 16,
        "num_denoising_steps": 20,
        "num_solver_steps": 4,
        "num_candidates": 5,
        "actor_ema_start": 3,
        "max_gradient_norm": 1.0,
    },
    "idql": {"hidden_dim": 16, "num_denoising_steps": 4, "num_candidates": 5},
    "faster": {
        "hidden_dim": 16,
        "num_denoising_steps": 4,
        "num_candidates": 5,
        "num_training_candidates": 3,
    },
    "dtql": {
        "hidden_dim": 16,
        "num_denoising_steps": 20,
        "num_pretraining_steps": 2,
        "num_candidates": 5,
        "likelihood_coefficient": 0.1,
    },
    "iql": {"hidden_dim": 16},
    # From its own e^-3, moments of Adam reach thousands: rounding above the tolerance.
    "awac": {"hidden_dim": 16, "initial_log_std": -1.0},
    "awr": {"hidden_dim": 16},
    "onestep": {"hidden_dim": 16, "num_value_samples": 4},
    "sac": {"hidden_dim": 16},
    "morel": {
        "hidden_dim": 16,
        "model_hidden_dim": 16,
        "num_models": 3,
        "model_steps": 6,
        "survey_steps": 3,
        "num_rollouts": 12,
        "horizon": 5,
    },
    "cql": {"hidden_dim": 16, "num_sampled_actions": 3, "cloning_steps": 3},
    "mcq": {"hidden_dim": 16, "behavior_hidden_dim": 16, "num_sampled_actions": 3},
    "fisher_brc": {"hidden_dim": 16, "num_components": 3, "cloning_steps": 3},
    "brac": {"hidden_dim": 16, "critic_hidden_dim": 16, "cloning_steps": 3},
    "fisher_decorator": {
        "hidden_dim": 16,
        "num_hidden_layers": 2,
        "num_flow_steps": 4,
    },
    "pcbf": {
        "hidden_dim": 16,
        "num_hidden_layers": 2,
        "num_flow_steps": 3,
        "num_candidates": 3,
    },
    "doser": {
        "hidden_dim": 16,
        "pretraining_steps": 4,
        "survey_steps": 3,
        "num_state_levels": 2,
        "num_action_samples": 3,
        "num_sampling_steps": 3,
    },
    "fql": {"hidden_dim": 16, "num_hidden_layers": 2, "num_flow_steps": 4},
    "decision_transformer": {
        "context_length": 4,
        "embedding_dim": 16,
        "num_layers": 2,
        "num_timesteps": 30,
        "warmup_steps": 3,
    },
    "diffuser": {**PLANS, "num_candidates": 3},
    "decision_diffuser": {**PLANS, "hidden_dim": 16, "num_quantiles": 21},
}


def make_dataset(num_transitions=300, observation_dim=5, action_dim=3, *, seed=0):
    """Return random transitions, one in ten terminal."""
    generator = np.random.default_rng(seed)
    shape = (num_transitions, observation_dim)
    return SimpleNamespace(
        observations=generator.standard_normal(shape).astype(np.float32),
        actions=generator.uniform(-1, 1, (num_transitions, action_dim)),
        rewards=generator.standard_normal(num_transitions),
        next_observations=generator.standard_normal(shape).astype(np.float32),
        terminations=(generator.random(num_transitions) < 0.1).astype(float),
    )


def make_episodes(*sizes, **options):
    """Return the same as episodes: what follows a row is the next one."""
    dataset = make_dataset(*sizes, **options)
    dataset.next_observations = np.roll(dataset.observations, -1, axis=0)
    return dataset


def make_agent(name, seeds=(0, 1), *, settings=(), dataset=None, device="cpu"):
    """Build an agent for a small dataset; `settings` holds one dict for each run."""
    each = settings or [{}] * len(seeds)
    chosen = [SETTINGS[name](**(SMALL[name] | extra)) for extra in each]
    windows = agent_class(name).windows(chosen[0])
    data = dataset or (make_dataset() if windows is None else make_episodes())
    store = make_row_store([data], [0] * len(seeds), windows, device)
    spec = AgentSpec.of(store, seeds, torch.device(device))
    return agent_class(name)(spec, chosen), store


def training_steps(agent, store, num_steps, batch_size=16, start=0):
    """Yield (step, batch, noise) as the training loop does."""
    draws = agent.training_draws(batch_size)
    draws["row"] = Draw((batch_size,), "integer", store.run_sizes)
    streams = NoiseStreams(agent.spec.seeds, draws, "training")
    for step in range(start, start + num_steps):
        noise = streams.at(step)
        yield step, store.gather(noise["row"]), noise


def train_steps(agent, store, num_steps, start=0):
    """Take gradient steps; return the last metrics."""
    metrics = {}
    for step, batch, noise in training_steps(agent, store, num_steps, start=start):
        metrics = agent.update(batch, noise, agent.phase(step))
    return metrics


def state_of_run(agent, run):
    """Return one run's share of the agent's state, as numpy arrays."""
    num_runs = agent.spec.num_runs
    return {
        name: tensor.unflatten(0, (num_runs, -1))[run].numpy().copy()
        for name, tensor in agent.state().items()
    }


def to_double(agent):
    """Turn an agent to float64 before its first step, constants included."""
    for module in agent.modules.values():
        module.double()
        for part in module.modules():
            if isinstance(part, Diffusion):
                cumprod = part.alphas_cumprod
                part.scales = torch.tensor(np.sqrt([cumprod, 1 - cumprod]).T)
            if isinstance(part, NoisePredictor):
                _, num_steps, dim = part.embedding.shape
                part.embedding.copy_(sinusoidal_embedding(num_steps, dim))
    for name in NUMERIC_SETTINGS:
        if isinstance(getattr(agent, name, None), torch.Tensor):
            values = [getattr(settings, name) for settings in agent.all_settings]
            setattr(agent, name, torch.tensor(values, dtype=torch.float64))
    for name, adam in agent.optimizers.items():
        agent.optimizers[name] = Adam(
            adam.parameters, adam.initial_learning_rate, adam.weight_decay
        )
    return agent


def double(values):
    """Turn floating-point tensors of a mapping to float64."""
    return {k: v.double() if v.is_floating_point() else v for k, v in values.items()}


def batch_of_run(batch, run):
    """Return one run's transitions as a mapping of float64 tensors."""
    return {name: value[run].to(torch.float64) for name, value in vars(batch).items()}
