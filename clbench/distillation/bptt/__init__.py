"""Distilling by back-propagation through training."""
