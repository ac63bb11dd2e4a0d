"""Protocols that turn a set of images into scores."""

from clbench.evaluation.fresh_networks import evaluate_set

__all__ = ["evaluate_set"]
