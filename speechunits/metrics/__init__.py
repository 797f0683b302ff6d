"""Measures of units, features and text: pure functions with thin Measures on top."""
