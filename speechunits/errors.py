"""UserError: what the person at the keyboard can mend."""

from __future__ import annotations


class UserError(ValueError):
    """One sentence with what is wrong, where, and what to do. Command lines print it alone and exit with 2."""
