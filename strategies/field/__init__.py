"""The methods that the field compares itself with, each on clbench's learner, memory and bytes.

One paper is one module. Avalanche's plugin is used where it works on our batches; docs/papers.md
says where it does not, and why. Importing this package is light: `clbench.strategies.table` names
the modules, which are loaded when a strategy is built.
"""
