"""A grid of runs: what is planned, what is done, and who does the rest."""
