"""The registry of agents: name -> settings and, loaded when asked for, the class.

Importing this package does not import torch; configuration needs only the settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dql.agents import (
    advantage_settings,
    diffusion_settings,
    generative_settings,
    model_settings,
    regularized_settings,
    sequence_settings,
    settings,
)
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.agents.agent import Agent

SETTINGS: dict[str, type] = {
    "bc_mle": settings.BCMLESettings,
    "bc_mdn": settings.BCMDNSettings,
    "bc_cvae": settings.BCCVAESettings,
    "bc_mmd": settings.BCMMDSettings,
    "bc_diffusion": diffusion_settings.BCDiffusionSettings,
    "td3_bc": settings.TD3BCSettings,
    "ql_mle": settings.QLMLESettings,
    "ql_mdn": settings.QLMDNSettings,
    "bcq": settings.BCQSettings,
    "bcq_diffusion": diffusion_settings.BCQDiffusionSettings,
    "bear_mmd": settings.BEARMMDSettings,
    "cvae_ql": settings.CVAEQLSettings,
    "diffusion_ql": diffusion_settings.DiffusionQLSettings,
    "flow_ql": generative_settings.FlowQLSettings,
    "consistency_ql": generative_settings.ConsistencyQLSettings,
    "bet": generative_settings.BeTSettings,
    "edp": diffusion_settings.EDPSettings,
    "idql": diffusion_settings.IDQLSettings,
    "faster": diffusion_settings.FasterSettings,
    "dtql": diffusion_settings.DTQLSettings,
    "iql": advantage_settings.IQLSettings,
    "awac": advantage_settings.AWACSettings,
    "awr": advantage_settings.AWRSettings,
    "onestep": advantage_settings.OnestepSettings,
    "sac": regularized_settings.SACSettings,
    "morel": model_settings.MoReLSettings,
    "cql": regularized_settings.CQLSettings,
    "mcq": regularized_settings.MCQSettings,
    "fisher_brc": regularized_settings.FisherBRCSettings,
    "brac": regularized_settings.BRACSettings,
    "fisher_decorator": generative_settings.FisherDecoratorSettings,
    "pcbf": generative_settings.PCBFSettings,
    "doser": model_settings.DOSERSettings,
    "fql": regularized_settings.FQLSettings,
    "decision_transformer": sequence_settings.DecisionTransformerSettings,
    "diffuser": sequence_settings.DiffuserSettings,
    "decision_diffuser": sequence_settings.DecisionDiffuserSettings,
}


def agent_class(name: str) -> type[Agent]:
    """Import the agent's module, `dql.agents.<name>`, and return its class."""
    if name not in SETTINGS:
        raise UserError(f"unknown agent {name!r}{nearest(name, SETTINGS)}")
    class_name = SETTINGS[name].__name__.removesuffix("Settings")
    return getattr(import_module(f"dql.agents.{name}"), class_name)
