"""The demo corpus's text: one template filled from small lists, in English and Spanish side by side.

Every sentence reads "who did what to how many of which things, where and when". Spanish puts the adjective behind the
noun and makes it agree, so translation is not word for word. All English phones of eSpeak's American voice occur.
"""

from __future__ import annotations

import math
import zlib

LANGUAGES = ("en", "es")
SPLITS = ("train", "valid", "test", "pairs")

MASCULINE, FEMININE = "masculine", "feminine"

_SUBJECTS = (
    ("my sister", "mi hermana"),
    ("my brother", "mi hermano"),
    ("the captain", "el capitán"),
    ("the teacher", "la maestra"),
    ("the doctor", "el médico"),
    ("the girl", "la niña"),
    ("the boy", "el niño"),
    ("our neighbor", "nuestro vecino"),
    ("the farmer", "el granjero"),
    ("the queen", "la reina"),
    ("your uncle", "tu tío"),
    ("the judge", "el juez"),
    ("the baker", "el panadero"),
    ("the nurse", "la enfermera"),
    ("the pilot", "el piloto"),
    ("a soldier", "un soldado"),
    ("the painter", "el pintor"),
    ("your aunt", "tu tía"),
    ("his cousin", "su primo"),
    ("her mother", "su madre"),
    ("our father", "nuestro padre"),
    ("an old woman", "una anciana"),
    ("the young thief", "el joven ladrón"),
    ("the shepherd", "el pastor"),
)
_VERBS = (
    ("bought", "compró"),
    ("found", "encontró"),
    ("sold", "vendió"),
    ("washed", "lavó"),
    ("hid", "escondió"),
    ("carried", "llevó"),
    ("saw", "vio"),
    ("enjoyed", "disfrutó"),
    ("broke", "rompió"),
    ("lost", "perdió"),
    ("painted", "pintó"),
    ("chose", "eligió"),
    ("measured", "midió"),
    ("threw", "lanzó"),
    ("counted", "contó"),
    ("pulled", "arrastró"),
)
_NUMBERS = (
    ("two", "dos"),
    ("three", "tres"),
    ("four", "cuatro"),
    ("five", "cinco"),
    ("six", "seis"),
    ("seven", "siete"),
    ("eight", "ocho"),
    ("nine", "nueve"),
    ("ten", "diez"),
    ("twelve", "doce"),
    ("thirty", "treinta"),
    ("fifty", "cincuenta"),
)
# English, Spanish masculine plural, feminine plural
_ADJECTIVES = (
    ("red", "rojos", "rojas"),
    ("green", "verdes", "verdes"),
    ("blue", "azules", "azules"),
    ("white", "blancos", "blancas"),
    ("black", "negros", "negras"),
    ("yellow", "amarillos", "amarillas"),
    ("heavy", "pesados", "pesadas"),
    ("beige", "beis", "beis"),
    ("small", "pequeños", "pequeñas"),
    ("large", "grandes", "grandes"),
    ("used", "usados", "usadas"),
    ("new", "nuevos", "nuevas"),
    ("good", "buenos", "buenas"),
    ("cheap", "baratos", "baratas"),
    ("strange", "extraños", "extrañas"),
    ("smooth", "lisos", "lisas"),
)
# English, Spanish, gender of the Spanish noun: which of an adjective's forms agrees
_NOUNS = (
    ("books", "libros", MASCULINE),
    ("boxes", "cajas", FEMININE),
    ("bottles", "botellas", FEMININE),
    ("hats", "sombreros", MASCULINE),
    ("chairs", "sillas", FEMININE),
    ("apples", "manzanas", FEMININE),
    ("keys", "llaves", FEMININE),
    ("letters", "cartas", FEMININE),
    ("shirts", "camisas", FEMININE),
    ("toys", "juguetes", MASCULINE),
    ("plates", "platos", MASCULINE),
    ("things", "cosas", FEMININE),
    ("spoons", "cucharas", FEMININE),
    ("knives", "cuchillos", MASCULINE),
    ("watches", "relojes", MASCULINE),
    ("bags", "bolsas", FEMININE),
    ("oranges", "naranjas", FEMININE),
    ("pictures", "cuadros", MASCULINE),
    ("candles", "velas", FEMININE),
    ("flowers", "flores", FEMININE),
    ("coins", "monedas", FEMININE),
    ("gloves", "guantes", MASCULINE),
    ("cups", "tazas", FEMININE),
    ("ropes", "cuerdas", FEMININE),
)
_PLACES = (
    ("in the kitchen", "en la cocina"),
    ("near the river", "cerca del río"),
    ("at the market", "en el mercado"),
    ("behind the house", "detrás de la casa"),
    ("under the bridge", "debajo del puente"),
    ("on the beach", "en la playa"),
    ("in the garden", "en el jardín"),
    ("at the station", "en la estación"),
    ("in the forest", "en el bosque"),
    ("by the church", "junto a la iglesia"),
    ("outside the school", "fuera de la escuela"),
    ("inside the tower", "dentro de la torre"),
    ("beyond the mountain", "más allá de la montaña"),
    ("along the road", "a lo largo del camino"),
    ("below the stairs", "bajo la escalera"),
    ("in your village", "en tu pueblo"),
)
_TIMES = (
    ("yesterday", "ayer"),
    ("this morning", "esta mañana"),
    ("last night", "anoche"),
    ("on monday", "el lunes"),
    ("at noon", "al mediodía"),
    ("last summer", "el verano pasado"),
    ("before dinner", "antes de la cena"),
    ("on thursday", "el jueves"),
    ("an hour ago", "hace una hora"),
    ("in autumn", "en otoño"),
)
SLOTS: tuple[tuple[tuple[str, ...], ...], ...] = (_SUBJECTS, _VERBS, _NUMBERS, _ADJECTIVES, _NOUNS, _PLACES, _TIMES)
SENTENCES = math.prod(len(slot) for slot in SLOTS)


def sentence(index: int) -> dict[str, str]:
    """The ``index``-th of the grammar's ``SENTENCES`` sentences, by language; lower case, no punctuation."""
    subject, verb, number, adjective, noun, place, time = _picked(index)
    agreeing = adjective[1] if noun[2] == MASCULINE else adjective[2]
    return {
        "en": " ".join((subject[0], verb[0], number[0], adjective[0], noun[0], place[0], time[0])),
        "es": " ".join((subject[1], verb[1], number[1], noun[1], agreeing, place[1], time[1])),
    }


def held_out(index: int) -> bool:
    """Whether the adjective and noun of a sentence are one of the 8 % of such pairs that the split ``pairs`` alone has."""
    _, _, _, adjective, noun, _, _ = _picked(index)
    return zlib.crc32(f"pair:{adjective[0]} {noun[0]}".encode()) % 12 == 0


def split_of(index: int) -> str:
    """The one split a sentence may appear in: ``pairs`` if it is ``held_out``, else 90 % train, 5 % valid, 5 % test.

    A property of the sentence, not of a corpus, so no test sentence of one size or seed is trained on in another.
    """
    if held_out(index):
        return "pairs"
    bucket = zlib.crc32(f"sentence:{index}".encode()) % 20
    return "valid" if bucket == 18 else "test" if bucket == 19 else "train"


def _picked(index: int) -> list[tuple[str, ...]]:
    """The entry of each slot."""
    picked: list[tuple[str, ...]] = []
    for slot in SLOTS:
        index, choice = divmod(index, len(slot))
        picked.append(slot[choice])
    return picked
