"""TensorFlow Datasets builder `uci_arrhythmia`: the Arrhythmia set of the UCI repository."""
