"""Memories of real images: random choice and herding. The baselines distilling must beat."""
