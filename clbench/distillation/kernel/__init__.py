"""Kernel regression: images from which a kernel machine predicts real ones (KIP, FRePo)."""
