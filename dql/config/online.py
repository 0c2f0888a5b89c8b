"""Online continuation: a finished policy goes on with fresh interaction, or none does.

The keys stand in a variant beside the agent's settings: `td3_bc@online=50000`,
`diffusion_ql@eta=0.5,online=50000,offline_share=0`. Values come from, later ones
winning: the defaults here, the scale's suite, the method, the variant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from pydantic import Field, model_validator

from dql.agents.ranges import NonNegative, Probability, Size, Steps
from dql.agents.registry import SETTINGS
from dql.config.fields import Count, Settings, Strict
from dql.errors import UserError, did_you_mean

STEPS_KEY = "online"
"""Of a variant: the environment steps."""
ASSIGNMENT = re.compile(r"(?:^|,)online=[^,]*")
DATA_BASED = {"normalize": "moments", "iql_locomotion": "returns"}
"""What transforms of rewards take from recorded data."""


class OnlineConfig(Strict):
    """How much a run plays, and what it learns from; its sources stand at each key.

    Where nothing else is said, values are those of RLPD (Ball et al., 2023) and of its
    released code.
    """

    num_environment_steps: Count
    start: Literal["offline", "scratch"] = Field(
        "offline", description="the finished run of the same settings, or new weights"
    )
    offline_share: Probability | Literal["pooled"] = Field(
        0.5,
        description="of a batch's rows: one half is RLPD's symmetric sampling; 0: no "
        "offline data; pooled: all rows alike, as IQL continues",
    )
    updates_per_step: Size = Field(
        1, description="the released code's default; the paper takes 20"
    )
    num_environments: Size = Field(
        10, description="that step together, ours; RLPD has one"
    )
    start_steps: Steps = Field(
        5000,
        description="before the first update: by the policy, from scratch at random; "
        "as in the released commands for D4RL, where the code's default is 10,000",
    )
    action_noise: NonNegative = Field(
        0.1,
        description="deviation of the Gaussian noise on what a deterministic policy "
        "does: TD3's (Fujimoto et al., 2018)",
    )
    evaluation_interval: Count = Field(5000, description="in environment steps")

    @model_validator(mode="after")
    def _learn_something(self) -> OnlineConfig:
        if self.start_steps >= self.num_environment_steps:
            raise ValueError(
                f"start_steps, {self.start_steps}, leaves none of the "
                f"{self.num_environment_steps} environment steps to learn in; give "
                f"fewer: METHOD@start_steps={self.num_environment_steps // 10}"
            )
        if self.num_environments > self.num_environment_steps:
            raise ValueError(
                f"num_environments, {self.num_environments}, step together, which is "
                f"more than the {self.num_environment_steps} environment steps"
            )
        return self

    @property
    def num_updates(self) -> int:
        """Return the gradient steps that go with the environment steps."""
        steps = self.num_environment_steps - self.start_steps
        return steps * self.updates_per_step

    @property
    def has_offline_rows(self) -> bool:
        """Tell whether recorded data are learned from as well."""
        return self.offline_share != 0

    @property
    def needs_data(self) -> bool:
        """Tell whether the run cannot begin without the task's data."""
        return self.has_offline_rows or self.start == "offline"


def is_online(method: str) -> bool:
    """Tell whether a method's variant goes on with fresh interaction."""
    return bool(ASSIGNMENT.search(method.partition("@")[2]))


def offline_method(method: str) -> str:
    """Return the method whose finished run an online variant goes on from."""
    base, kept, _ = _parts(method)
    return f"{base}@{','.join(kept)}" if kept else base


def _parts(method: str) -> tuple[str, list[str], list[str]]:
    """Split a method into its name, the agent's settings and the online phase's."""
    base, at, variant = method.partition("@")
    words = variant.split(",") if at else []
    of_phase = [one for one in words if one.partition("=")[0] in _KEYS]
    return base, [one for one in words if one not in of_phase], of_phase


def online_method(method: str, num_environment_steps: int) -> str:
    """Return the variant of a method, with or without others, that plays so long.

    The agent's settings come first, then `online`, then the other keys of that phase.
    """
    if is_online(method):
        raise UserError(
            f"Method '{method}' states its environment steps already; leave off one"
        )
    base, settings, of_phase = _parts(method)
    words = [*settings, f"{STEPS_KEY}={num_environment_steps}", *of_phase]
    return f"{base}@{','.join(words)}"


def split_variant(variant: Settings) -> tuple[Settings, Settings]:
    """Return a variant's settings of the agent, and those of its online phase."""
    settings = {key: value for key, value in variant.items() if key not in _KEYS}
    online = {key: value for key, value in variant.items() if key in _KEYS}
    if online and STEPS_KEY not in online:
        raise UserError(
            f"'{next(iter(online))}' is of online continuation; add {STEPS_KEY}=STEPS"
        )
    if STEPS_KEY in online:
        _suggest_own_keys(settings)
        online["num_environment_steps"] = online.pop(STEPS_KEY)
    return settings, online


_KEYS = {STEPS_KEY, *OnlineConfig.model_fields} - {"num_environment_steps"}


def _suggest_own_keys(settings: Settings) -> None:
    """Refuse a key that no agent has and one of the online phase is near to."""
    of_agents = {field.name for agent in SETTINGS.values() for field in fields(agent)}
    for key in settings.keys() - of_agents:
        suggestion = did_you_mean(key, [*of_agents, *_KEYS])
        if any(f"'{own}'" in suggestion for own in _KEYS):
            raise UserError(
                f"Unknown key '{key}' of online continuation.{suggestion} "
                f"Its keys: {', '.join(sorted(_KEYS))}."
            )


def check_start(
    online: OnlineConfig, agent: str, settings: Mapping[str, Any], transform: str
) -> None:
    """Refuse an agent that cannot go on, or cannot without statistics of data.

    Raises UserError that names the agent or setting, and the remedy.
    """
    own = SETTINGS[agent]
    if own.READS_WINDOWS:
        raise UserError(
            f"agent '{agent}' learns from windows of episodes, and online continuation "
            "adds single transitions; take a method that learns from those"
        )
    if not own.LEARNS_ONLINE:
        raise UserError(
            f"agent '{agent}' learns from a model that is fitted to the data once, so "
            "that fresh interaction teaches it nothing; take another method"
        )
    if online.needs_data:
        return
    remedy = "give it offline_share above 0, or start=offline"
    if own.STANDARDIZES or settings.get("normalize_observations"):
        choice = "" if own.STANDARDIZES else ", or normalize_observations=false"
        raise UserError(
            f"agent '{agent}' cannot act without its data's moments, by which it "
            f"standardises observations, and this run reads no data; {remedy}{choice}"
        )
    if transform in DATA_BASED:
        raise UserError(
            f"reward_transform '{transform}' takes the data's {DATA_BASED[transform]}, "
            f"and this run reads no data; {remedy}"
        )


def check_share(online: OnlineConfig, batch_size: int) -> None:
    """Refuse a share of recorded rows that is rounded to none or all of a batch's."""
    share = online.offline_share
    if share in ("pooled", 0, 1) or 0 < round(share * batch_size) < batch_size:
        return
    number = "none" if share < 1 / 2 else "all"
    raise UserError(
        f"offline_share, {share:g}: of a batch's {batch_size} rows {number} would be "
        f"recorded; give a share between {1 / batch_size:.2g} and "
        f"{1 - 1 / batch_size:.3g}, or 0 or 1"
    )


def check_rates(
    online: OnlineConfig, settings: Mapping[str, Any], num_gradient_steps: int
) -> None:
    """Refuse to go on where learning rates have fallen to 0 in so many offline steps.

    Schedules go on from the offline run, so that nothing would be learned.
    """
    decay = settings.get("learning_rate_decay_steps")
    if online.start == "offline" and decay and decay <= num_gradient_steps:
        raise UserError(
            f"learning_rate_decay_steps, {decay}: all learning rates are 0 after the "
            f"offline run's {num_gradient_steps} gradient steps; give more than those, "
            "or null for constant rates"
        )
