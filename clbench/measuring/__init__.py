"""Pure numbers: metrics of an accuracy matrix, statistics, rankings, cost."""
