"""Speaker: a voice drawn from its name, written as an eSpeak variant; it speaks every language."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from speechunits.errors import UserError

_NAME = re.compile(r"[fm][a-z]?\d{2,4}")


@dataclass(frozen=True)
class Speaker:
    """One synthetic speaker.

    Args:
        name: ``f`` or ``m``, an optional letter and two to four digits (``f00``, ``m017``, ``ft003``). The name alone
            decides the voice, so a name means the same voice in every corpus. Digits keep clear of eSpeak's own names.

    Raises:
        UserError: the name has another form.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"speaker '{self.name}' is not a demo voice: use 'f' or 'm' followed by two to four digits, like 'f00'"
            )

    @property
    def gender(self) -> str:
        return "female" if self.name[0] == "f" else "male"

    def variant(self) -> str:
        """The text of the variant file: pitch in Hz; formants as per cent of eSpeak's frequency, strength and width.

        The ranges are those of adults: median F0 about 80-155 and 155-255 Hz, vocal tracts +-10 % around each mean.
        Pitch and vocal tract are drawn apart, so that neither can stand for the other.
        """
        draw = random.Random(f"speaker:{self.name}")
        female = self.gender == "female"
        pitch = draw.uniform(160, 255) if female else draw.uniform(80, 150)
        tract = draw.uniform(1.03, 1.22) if female else draw.uniform(0.87, 1.06)
        rows = [
            "language variant",
            f"name {self.name}",
            f"pitch {pitch * draw.uniform(0.78, 0.90):.0f} {pitch * draw.uniform(1.08, 1.28):.0f}",
        ]
        for k in range(9):
            frequency = 100 * tract * draw.uniform(0.94, 1.06)
            rows.append(f"formant {k} {frequency:.0f} {draw.uniform(65, 125):.0f} {draw.uniform(80, 145):.0f}")
        low, middle, high = draw.uniform(130, 190), draw.uniform(95, 165), draw.uniform(70, 155)
        breath = draw.choice((0, 0, 1, 2, 3, 4))
        rows += [
            f"tone 600 {low:.0f} 1200 {middle:.0f} 2000 {high:.0f}",
            f"voicing {draw.uniform(80, 112):.0f}",
            f"consonants {draw.uniform(70, 130):.0f} {draw.uniform(70, 130):.0f}",
            f"flutter {draw.uniform(30, 140):.0f}",
            f"roughness {draw.randint(0, 3)}",
            f"speed {draw.uniform(85, 115):.0f}",
        ]
        if breath:
            rows.append("breath 0" + f" {breath}" * 7)
        return "\n".join(rows) + "\n"
