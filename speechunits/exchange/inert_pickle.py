"""The only door to pickle: checkpoints of torch read as data. No code that a file names is ever looked up, let alone run.

A pickle is a program that may call any function. This reader gives it none but containers and its own tensor builder;
every other class or function that a file asks for becomes an ``Inert`` class, which keeps what it is handed.
"""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from speechunits.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization: what a file older than the zip format begins with
_TYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


class Inert:
    """Stands for an object whose class is not let in: what it was made with, and its state, as data.

    ``origin`` is the class that the file asked for.
    """

    origin = ""
    arguments: tuple[Any, ...]
    state: Any
    items: list[Any]

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        made = super().__new__(cls)
        made.arguments, made.state, made.items = (*arguments, *named.items()), None, []
        return made

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, value: Any) -> None:
        self.items.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        self.items.extend(values)


class _Mapping(dict[Any, Any]):
    """``collections.OrderedDict``; what a file would set on it beside its items (``_metadata``, or a method) is dropped."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _Tensor:
    """``torch._utils._rebuild_tensor*``; without attributes, so that a file cannot change it."""

    __slots__ = ()

    def __call__(self, storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
        return torch.as_strided(storage, size, stride, offset)  # refuses what lies outside of the storage


class _Parameter:
    """``torch._utils._rebuild_parameter``."""

    __slots__ = ()

    def __call__(self, tensor: Tensor, *_: Any) -> Tensor:
        return tensor


_LET_IN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _Tensor(),
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor(),
    ("torch._utils", "_rebuild_parameter"): _Parameter(),
    ("collections", "OrderedDict"): _Mapping,
    **{(m, t.__name__): t for m in ("builtins", "__builtin__") for t in (dict, list, tuple, set, frozenset)},
}


class _Reader(pickle.Unpickler):
    """Unpickles into containers, tensors and ``Inert`` objects.

    Args:
        file: where the pickle stands.
        storage: (key, type, numbers) -> the flat tensor of that storage.
    """

    def __init__(self, file: Any, storage: Callable[[str, torch.dtype, int], Tensor] | None = None) -> None:
        super().__init__(file, encoding="utf-8")
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) in _LET_IN:
            return _LET_IN[module, name]
        return type("Inert", (Inert,), {"origin": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or any(view) or self.storage is None:
            raise pickle.UnpicklingError(f"storage {pid!r} is of a kind that is not read")
        return self.storage(str(key), dtype, int(numel))


def _numbers(raw: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (program,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        root = program.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("written by a big-endian machine")
        loaded: dict[str, Tensor] = {}

        def storage(key: str, dtype: torch.dtype, numel: int) -> Tensor:
            if key not in loaded:
                entry = archive.getinfo(f"{root}data/{key}")
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < numel * dtype.itemsize:
                    raise ValueError(f"storage {key} is not whole")
                loaded[key] = _numbers(archive.read(entry), dtype)[:numel]
            return loaded[key]

        return _Reader(io.BytesIO(archive.read(program)), storage).load()


def _read_sequence(file: BinaryIO, size: int) -> Any:
    """The format before zip: number, version, machine, the object, the keys of its storages, their numbers."""
    for _ in range(3):
        _Reader(file).load()
    loaded: dict[str, Tensor] = {}

    def storage(key: str, dtype: torch.dtype, numel: int) -> Tensor:
        if key not in loaded:
            if numel * dtype.itemsize > size:
                raise ValueError(f"storage {key} is not whole")
            loaded[key] = torch.zeros(numel, dtype=dtype)
        return loaded[key]

    value = _Reader(file, storage).load()
    for key in _Reader(file).load():
        (numel,) = struct.unpack("<q", file.read(8))
        dtype = loaded[key].dtype
        loaded[key].copy_(_numbers(file.read(numel * dtype.itemsize), dtype))  # the tensors made of it are views
    return value


def is_checkpoint(path: Path) -> bool:
    """Whether ``torch.save`` wrote the file (or began to)."""
    with open(path, "rb") as file:
        begins = file.read(4)
        file.seek(0)
        if begins == b"PK\x03\x04":
            return True
        try:
            return bool(_Reader(file).load() == _MAGIC)
        except Exception:  # whatever a file that is no pickle makes an unpickler raise
            return False


def read_checkpoint(path: Path) -> Any:
    """What a file of ``torch.save`` holds: by torch where it is weights alone, else with ``Inert`` objects in it.

    Raises:
        UserError: truncated or damaged, or a TorchScript archive.
    """
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # about TorchScript and rare protocols: it is refused all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a class that is not let in (of a configuration, of an attacker), or damage: read below
        pass
    try:
        with open(path, "rb") as file:
            if zipfile.is_zipfile(file):
                return _read_zip(file)
            file.seek(0)
            return _read_sequence(file, path.stat().st_size)
    except Exception as error:  # an unpickler raises nearly every kind for a damaged file
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"{path}: truncated, damaged, or no checkpoint of weights ({why}); get the file again"
        ) from error
