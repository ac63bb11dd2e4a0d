"""The tests, which share the machine with others as the commands do."""

from clbench.machine.cores import share_cores

share_cores()
