"""Trajectory matching: MTT, DATM and PAD, three settings of one thing."""
