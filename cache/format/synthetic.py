"""The entry of the provenance of synthetic features: parameters and known accuracies."""

# Name of the entry, and of its two objects (see FORMAT.md).
SYNTHETIC_KEY = "synthetic"
PARAMETERS_KEY, WORST_GROUP_KEY = "parameters", "worst_group"
