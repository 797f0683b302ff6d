"""How text is pronounced, by eSpeak NG in this process.

Licence: eSpeak NG is free software under the GPL, version 3 or later. It is an optional extra, loaded at run time when text is
to be pronounced; none of its code, voices or data is part of this package.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path

from speechunits.errors import UserError

_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _IPA = 2, 0x8000, 1, 0x02
_BETWEEN = "_"  # eSpeak writes it between two phones
_OTHER_LANGUAGE = re.compile(r"\([a-z-]+\)")  # what eSpeak writes where it changes the language
STRESS = "ˈˌ"


class EspeakPhones:
    """Text to phones of the International Phonetic Alphabet.

    Args:
        language: a voice of eSpeak NG, such as "en-us", "de" or "es".
    """

    def __init__(self, language: str = "en-us") -> None:
        self.language = language

    def __call__(self, text: str) -> list[list[str]]:
        """Words, each as its phones; a stress mark is a symbol of its own before its phone. Numbers are read out.

        Raises:
            UserError: eSpeak NG is not installed, or does not know the language.
        """
        library = _library()
        if library.espeak_SetVoiceByName(self.language.encode()):
            raise UserError(f"eSpeak NG has no voice for language '{self.language}': use a name such as 'en-us'")
        kept = ctypes.create_string_buffer(text.replace("\0", " ").encode())  # eSpeak moves along it
        at, said = ctypes.c_void_p(ctypes.addressof(kept)), []
        while at.value:
            clause = library.espeak_TextToPhonemes(ctypes.byref(at), _UTF8, _IPA | ord(_BETWEEN) << 8)
            said.append((clause or b"").decode())
        words = _OTHER_LANGUAGE.sub("", " ".join(said)).split()
        return [phones for word in words if (phones := _phones(word))]


def _phones(word: str) -> list[str]:
    split = re.split(rf"{_BETWEEN}|([{STRESS}])", word)
    return [phone for phone in split if phone]


@cache
def _library() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ImportError:
        raise UserError(
            "text is pronounced by eSpeak NG, which is not installed: pip install 'speechunits[phones]', or train on letters"
        ) from None
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    home = Path(espeakng_loader.get_data_path())
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(home.parent).encode(), _DO_NOT_EXIT) <= 0:
        raise UserError(f"eSpeak NG cannot read its data in {home}: reinstall the package espeakng-loader")
    return library
