"""Adversarially Learned Anomaly Detection (Zenati et al., ICDM 2018) in Keras 3."""

__version__ = "0.1.0"
