from .attribution import attribute_decision, compare_attribution
from .baselines import random_walk, shortest_path_mouse
from .behaviour import FEATURES, maze_features, measure_behaviour
from .channel_measures import channel_scores, measure_channels
from .channel_overlap import Overlap, match_channels, overlap
from .channels import (
    CheeseChannels,
    channel_table,
    find_cheese_channels,
    null_scores,
    null_thresholds,
    pass_rates,
    untrained_networks,
)
from .comparisons import compare_conditions, readable, removal
from .confirmation import ablate_channels, ablation_conditions, confirm
from .decisions import decide
from .evaluation import (
    compare_success,
    evaluate,
    evaluate_beside_baselines,
    evaluate_tables,
    goal_misgeneralisation,
    held_out,
    summarise,
)
from .experiments import Condition, edit_conditions, run_experiment, steering_conditions
from .fields import VectorField, arrow_change, compare_fields, path_probabilities, total_variation, vector_field
from .minimal_pairs import MinimalPairs, compare_pairs, make_pairs, measure_pairs
from .outcomes import HORIZON, exact_outcomes, play, sample_episodes
from .probes import probe_levels, probe_squares
from .probing import moved_cheese, probing_levels, split_by_maze
from .readout import CheeseReadout, fit_readout, readout_accuracy
from .regressions import regression_coefficients, score_regressions, variance_inflation
from .resumable import fingerprint, run_chunks
from .retargeted import compare_retargeting, retargeting_by
from .retargeting import best_clamps, retarget, retargeting_sets, value_sweep
from .scrubbing import compare_scrubbing, donor_states, scrub
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
from .subsets import best_subsets, half_sample_regressions, l1_path, sign_stability, subset_regressions
from .sweeps import average_sweep, coefficient_sweep, composition, layer_sweep, translation_sweep
from .table import FACINGS, PolicyTable, run_policy, tables, tabulate
from .transfer import transfer, transfer_pairs
from .values import (
    agreement_by_distance,
    policy_and_value,
    policy_and_value_tables,
    summarise_agreement,
    summarise_value_change,
    value_change,
    value_change_tables,
)
from .walks import Episode, walk, walk_table

__all__ = [
    "FACINGS",
    "FEATURES",
    "HORIZON",
    "CheeseChannels",
    "CheeseReadout",
    "Comparison",
    "Condition",
    "Episode",
    "Estimate",
    "MinimalPairs",
    "Overlap",
    "PolicyTable",
    "VectorField",
    "ablate_channels",
    "ablation_conditions",
    "agreement_by_distance",
    "arrow_change",
    "attribute_decision",
    "average_sweep",
    "best_clamps",
    "best_subsets",
    "bootstrap_mean",
    "channel_scores",
    "channel_table",
    "coefficient_sweep",
    "compare_attribution",
    "compare_conditions",
    "compare_fields",
    "compare_pairs",
    "compare_policies",
    "compare_retargeting",
    "compare_scrubbing",
    "compare_success",
    "composition",
    "confirm",
    "decide",
    "donor_states",
    "edit_conditions",
    "evaluate",
    "evaluate_beside_baselines",
    "evaluate_tables",
    "exact_outcomes",
    "find_cheese_channels",
    "fingerprint",
    "fit_readout",
    "goal_misgeneralisation",
    "half_sample_regressions",
    "held_out",
    "holm",
    "l1_path",
    "layer_sweep",
    "make_pairs",
    "match_channels",
    "maze_features",
    "measure_behaviour",
    "measure_channels",
    "measure_pairs",
    "moved_cheese",
    "null_scores",
    "null_thresholds",
    "overlap",
    "paired_difference",
    "pass_rates",
    "path_probabilities",
    "play",
    "policy_and_value",
    "policy_and_value_tables",
    "probe_levels",
    "probe_squares",
    "probing_levels",
    "quantile",
    "random_walk",
    "readable",
    "readout_accuracy",
    "regression_coefficients",
    "removal",
    "retarget",
    "retargeting_by",
    "retargeting_sets",
    "run_chunks",
    "run_experiment",
    "run_policy",
    "sample_episodes",
    "score_regressions",
    "scrub",
    "shortest_path_mouse",
    "sign_stability",
    "split_by_maze",
    "steering_conditions",
    "subset_regressions",
    "summarise",
    "summarise_agreement",
    "summarise_value_change",
    "tables",
    "tabulate",
    "total_variation",
    "transfer",
    "transfer_pairs",
    "translation_sweep",
    "untrained_networks",
    "value_change",
    "value_change_tables",
    "value_sweep",
    "variance_inflation",
    "vector_field",
    "walk",
    "walk_table",
    "wilson",
]
