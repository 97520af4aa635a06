from .behaviour import plot_agreement, plot_coefficients, plot_influence, plot_minimal_pairs
from .channels import plot_activations, plot_channel_grid, plot_channel_scores
from .confirmation import plot_attribution, plot_confirmation
from .curves import plot_dose_response, plot_layer_sweep, plot_training
from .decisions import plot_decisions
from .evaluation import plot_comparison, plot_success
from .fields import plot_field, plot_field_change
from .files import save_figure
from .intervals import plot_intervals
from .maze import plot_maze
from .paths import plot_path_probabilities
from .probes import plot_probes
from .retargeting import plot_retargeting_by, plot_retargeting_maps, plot_value_sweep
from .scrubbing import plot_scrubbing
from .steering import plot_averages, plot_composition, plot_transfer, plot_translation
from .video import frames, save_video

__all__ = [
    "frames",
    "plot_activations",
    "plot_agreement",
    "plot_attribution",
    "plot_averages",
    "plot_channel_grid",
    "plot_channel_scores",
    "plot_coefficients",
    "plot_comparison",
    "plot_composition",
    "plot_confirmation",
    "plot_decisions",
    "plot_dose_response",
    "plot_field",
    "plot_field_change",
    "plot_influence",
    "plot_intervals",
    "plot_layer_sweep",
    "plot_maze",
    "plot_minimal_pairs",
    "plot_path_probabilities",
    "plot_probes",
    "plot_retargeting_by",
    "plot_retargeting_maps",
    "plot_scrubbing",
    "plot_success",
    "plot_training",
    "plot_transfer",
    "plot_translation",
    "plot_value_sweep",
    "save_figure",
    "save_video",
]
