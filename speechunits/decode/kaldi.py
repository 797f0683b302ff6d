"""The only door to kaldifst and kaldi-decoder. All imports are inside functions: both are optional."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from speechunits.errors import UserError

Arc = tuple[int, int, int, int, float, float]  # from, to, label or 0, word or 0, cost of the graph, of the frame
MISSING = "not installed and needed for word graphs: pip install 'speechunits[lattice]', or choose another search"
DELTA = 1e-5  # nats; weights closer than this are one when states are joined


def need(decoder: bool = False) -> None:
    """Make sure that kaldifst, and if asked for kaldi-decoder, are there.

    Raises:
        UserError: not installed.
    """
    _kaldifst()
    if decoder:
        _kaldi_decoder()


def _kaldifst() -> Any:
    try:
        import kaldifst
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is {MISSING}") from error
    return kaldifst


def _kaldi_decoder() -> Any:
    try:
        import kaldi_decoder
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is {MISSING}") from error
    return kaldi_decoder


def transducer(arcs: Iterable[tuple[int, int, int, int, float]], finals: Mapping[int, float]) -> Any:
    """A StdVectorFst in the tropical semiring; state 0 is the start.

    Args:
        arcs: (from, to, what it reads, what it writes, cost), label 0 = nothing.
        finals: state -> cost of ending there; read when the arcs are done.
    """
    tools = _kaldifst()
    made, states = tools.StdVectorFst(), 0
    for begin, end, reads, writes, cost in arcs:
        while states <= max(begin, end):
            states = made.add_state() + 1
        made.add_arc(begin, tools.StdArc(reads, writes, cost, end))
    while states <= max(finals, default=-1):
        states = made.add_state() + 1
    for state, cost in finals.items():
        made.set_final(state, cost)
    if states:
        made.start = 0
    return made


def leaving(graph: Any, state: int) -> Iterator[tuple[int, int, int, float]]:
    """(to, what it reads, what it writes, cost) of each arc from ``state``."""
    arcs = _kaldifst().ArcIterator(graph, state)
    return ((arc.nextstate, arc.ilabel, arc.olabel, arc.weight.value) for arc in arcs)


def compose(first: Any, second: Any) -> Any:
    """What ``first`` writes is what ``second`` reads."""
    tools = _kaldifst()
    tools.arcsort(first, sort_type="olabel")
    tools.arcsort(second, sort_type="ilabel")
    return tools.compose(first, second)


def determinize(graph: Any) -> None:
    """In place: no state has two arcs that read the same, and none reads nothing unless it has to write."""
    _kaldifst().determinize_star(graph, delta=DELTA)


def minimize(graph: Any) -> None:
    """In place: states from which the same follows become one."""
    _kaldifst().minimize_encoded(graph, delta=DELTA)


def read(path: Path) -> Any:
    """An OpenFst file."""
    return _kaldifst().StdVectorFst.read(str(path))


def search(graph: Any, scores: Tensor, beam: float, lattice_beam: float) -> tuple[list[Arc], dict[int, float]]:
    """The paths of ``graph`` through the frames of one utterance that are not much dearer than the cheapest.

    Args:
        scores: (T, C) float32 on the CPU, T > 0, what each label 1 .. C gains in each frame.
        beam: of partial paths.
        lattice_beam: of whole ones.

    Returns:
        Arcs, the first one from the start, and states where paths end with the cost of ending there; nothing where none
        does.
    """
    tools = _kaldi_decoder()
    config = tools.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
    decoder = tools.LatticeSimpleDecoder(graph, config)
    if not decoder.decode(tools.DecodableCtc(scores.numpy())):
        return [], {}
    arcs, finals = [], {}
    for line in decoder.get_raw_lattice()[1].to_str(show_weight_one=True).splitlines():
        *numbers, costs = line.split()
        graph_cost, acoustic = map(float, costs.split(","))
        if len(numbers) == 1:
            finals[int(numbers[0])] = graph_cost
        else:
            begin, end, label, word = map(int, numbers)
            arcs.append((begin, end, label, word, graph_cost, acoustic))
    return arcs, finals
