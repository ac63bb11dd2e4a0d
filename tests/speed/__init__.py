"""Speed as ratios measured in one run, by commands anyone can run; never part of the test suite."""
