"""The network: its architecture, with every intermediate named, and its checkpoints."""

from mazeinterp.policy.checkpoints import CheckpointError, list_policies, load_policy, save_policy
from mazeinterp.policy.network import (
    LAYERS,
    ImpalaPolicy,
    Policy,
    PolicyOutput,
    Tap,
    check_layer,
    move_probabilities,
)

__all__ = [
    "LAYERS",
    "CheckpointError",
    "ImpalaPolicy",
    "Policy",
    "PolicyOutput",
    "Tap",
    "check_layer",
    "list_policies",
    "load_policy",
    "move_probabilities",
    "save_policy",
]
