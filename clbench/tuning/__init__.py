"""Choosing settings on the validation stream, with one budget for every strategy."""
