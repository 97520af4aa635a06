from .curves import plot_dose_response, plot_layer_sweep, plot_training
from .decisions import plot_decisions
from .evaluation import plot_comparison, plot_success
from .fields import plot_field, plot_field_change
from .files import save_figure
from .maze import plot_maze
from .paths import plot_path_probabilities
from .video import frames, save_video

__all__ = [
    "frames",
    "plot_comparison",
    "plot_decisions",
    "plot_dose_response",
    "plot_field",
    "plot_field_change",
    "plot_layer_sweep",
    "plot_maze",
    "plot_path_probabilities",
    "plot_success",
    "plot_training",
    "save_figure",
    "save_video",
]
