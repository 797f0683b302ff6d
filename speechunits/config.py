"""placeholder"""


class UserError(ValueError):
    """Something the user can mend: printed as one sentence, exit code 2."""
