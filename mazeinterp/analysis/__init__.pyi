from .baselines import random_walk, shortest_path_mouse
from .comparisons import compare_conditions, readable, removal
from .decisions import decide
from .evaluation import evaluate, evaluate_tables, goal_misgeneralisation, held_out, summarise
from .experiments import Condition, run_experiment, steering_conditions
from .fields import VectorField, arrow_change, path_probabilities, total_variation, vector_field
from .outcomes import HORIZON, exact_outcomes, play, sample_episodes
from .resumable import fingerprint, run_chunks
from .statistics import (
    Comparison,
    Estimate,
    bootstrap_mean,
    compare_policies,
    holm,
    paired_difference,
    quantile,
    wilson,
)
from .sweeps import average_sweep, coefficient_sweep, composition, layer_sweep, translation_sweep
from .table import FACINGS, PolicyTable, run_policy, tables, tabulate
from .transfer import transfer, transfer_pairs
from .walks import Episode, walk

__all__ = [
    "FACINGS",
    "HORIZON",
    "Comparison",
    "Condition",
    "Episode",
    "Estimate",
    "PolicyTable",
    "VectorField",
    "arrow_change",
    "average_sweep",
    "bootstrap_mean",
    "coefficient_sweep",
    "compare_conditions",
    "compare_policies",
    "composition",
    "decide",
    "evaluate",
    "evaluate_tables",
    "exact_outcomes",
    "fingerprint",
    "goal_misgeneralisation",
    "held_out",
    "holm",
    "layer_sweep",
    "paired_difference",
    "path_probabilities",
    "play",
    "quantile",
    "random_walk",
    "readable",
    "removal",
    "run_chunks",
    "run_experiment",
    "run_policy",
    "sample_episodes",
    "shortest_path_mouse",
    "steering_conditions",
    "summarise",
    "tables",
    "tabulate",
    "total_variation",
    "transfer",
    "transfer_pairs",
    "translation_sweep",
    "vector_field",
    "walk",
    "wilson",
]
