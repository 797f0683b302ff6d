"""ByLanguage: the normaliser of each language."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from speechunits.config import build, load
from speechunits.errors import UserError

Normalise = Callable[[str, str | None], str]  # text and its language -> text


class ByLanguage:
    """Text by the rules of its language.

    Args:
        rules: language -> normaliser; "en" is also for "en-US" and "en_GB", unless they have their own.
        default: for text of no language, or of one without rules; None = an error.
    """

    def __init__(self, rules: Mapping[str, Normalise], default: Normalise | None = None) -> None:
        self.rules = {name.lower(): rule for name, rule in rules.items()}
        self.default = default

    def __call__(self, text: str, language: str | None = None) -> str:
        """``text`` as ``language`` spells it.

        Raises:
            UserError: there are no rules for that language, and no default.
        """
        name = (language or "").lower().replace("_", "-")
        rule = self.rules.get(name) or self.rules.get(name.split("-")[0]) or self.default
        if rule is None:
            raise UserError(
                f"the normaliser has no rules for {f'the language {language}' if language else 'text of no language'}, only "
                f"for {', '.join(self.rules)}; add them or a default, or say in the manifest which language it is"
            )
        return rule(text, language)


def read_normaliser(path: str) -> Normalise:
    """What stands under ``normaliser`` in a YAML file, as in ``conf/text/normalisation.yaml``.

    Raises:
        UserError: there is no such file, or nothing of that name in it.
    """
    tree = load(path)
    if "normaliser" not in tree:
        raise UserError(f"{path}: has no key normaliser; give a file such as conf/text/normalisation.yaml")
    made: Normalise = build(tree["normaliser"], at="normaliser")
    return made
