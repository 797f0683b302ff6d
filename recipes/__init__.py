"""Verbs: one readable script per kind of run; `speechunits run NAME ...` is `python -m recipes.NAME ...`."""
