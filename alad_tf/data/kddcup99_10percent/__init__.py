"""TensorFlow Datasets builder `kddcup99_10percent`: the 10% set of KDD Cup 1999."""
