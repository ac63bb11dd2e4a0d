"""`clbench speed`, and what is measured by commands of this folder; no test asserts a speed."""
