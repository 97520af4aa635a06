from .ablations import Clamp, Mean, Patch, Region, Resample, Scale, Zero
from .adapter import AdaptedModule, adapt
from .cells import cell_of, squares_of
from .edits import Edit, EditContext, EditedPolicy, edited
from .parameters import Parameter, Range
from .recipes import Another, Cheese, Matched, Random, Run, Shuffled, TopRight, Translated, controls_of
from .recording import DEFAULT_LAYER, TappedPolicy, record
from .registry import Entry, find_vector, format_edit, list_edits, list_vectors, parse_edit, register
from .sharing import shared_passes
from .steering import Add, Project
from .vectors import (
    Recipe,
    SteeringVector,
    average,
    cheese_vector,
    difference,
    load_vector,
    open_top_right,
    top_right_vector,
)

__all__ = [
    "DEFAULT_LAYER",
    "AdaptedModule",
    "Add",
    "Another",
    "Cheese",
    "Clamp",
    "Edit",
    "EditContext",
    "EditedPolicy",
    "Entry",
    "Matched",
    "Mean",
    "Parameter",
    "Patch",
    "Project",
    "Random",
    "Range",
    "Recipe",
    "Region",
    "Resample",
    "Run",
    "Scale",
    "Shuffled",
    "SteeringVector",
    "TappedPolicy",
    "TopRight",
    "Translated",
    "Zero",
    "adapt",
    "average",
    "cell_of",
    "cheese_vector",
    "controls_of",
    "difference",
    "edited",
    "find_vector",
    "format_edit",
    "list_edits",
    "list_vectors",
    "load_vector",
    "open_top_right",
    "parse_edit",
    "record",
    "register",
    "shared_passes",
    "squares_of",
    "top_right_vector",
]
