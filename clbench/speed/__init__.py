"""Speed as ratios: a fast form and a plain one of the same computation, measured in turn."""
