"""The only door to pickle: checkpoints of torch read as data. No code that a file names is ever looked up, let alone run.

A pickle is a program that may call any function. This reader gives it none but containers and its own tensor builder;
every other class or function that a file asks for becomes an ``Inert`` class, which keeps what it is handed. What is read
takes no more memory than the file has bytes, whatever the file says of itself.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

from speechunits.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization: what a file older than the zip format begins with
_ZIP = b"PK\x03\x04"
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
        if math.prod(size) > len(storage):
            raise ValueError(
                "a tensor is larger than its storage"
            )  # by strides of 0: of any size in a file of any size
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


class _Reader(pickle._Unpickler):
    """Unpickles into containers, tensors and ``Inert`` objects.

    It is the unpickler in Python: that in C fills as much memory as a number in the file says (its memo), and calls a
    tensor's own ``__setstate__``, which can make the tensor larger than its storage.

    Args:
        file: where the pickle stands.
        storage: (key, type, numbers) -> the flat tensor of that storage.
    """

    def __init__(self, file: Any, storage: Callable[[str, torch.dtype, int], Tensor] | None = None) -> None:
        super().__init__(file, encoding="utf-8")
        self.storage = storage

    stack: list[Any]

    def load_build(self) -> None:
        if isinstance(self.stack[-2], Tensor):  # attributes that somebody set on it
            self.stack.pop()
        else:
            super().load_build()  # type: ignore[misc]

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) in _LET_IN:
            return _LET_IN[module, name]
        return type("Inert", (Inert,), {"origin": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or any(view) or self.storage is None:
            raise pickle.UnpicklingError("a storage of a kind that is not read")
        return self.storage(str(key), dtype, int(numel))


def _numbers(raw: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)


class _Budget:
    """Bytes that may still be read: all of a file's storages together are no larger than the file."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int, what: str) -> None:
        self.left -= size
        if size < 0 or self.left < 0:
            raise ValueError(f"{what} is not whole")


def _read_zip(file: BinaryIO, size: int) -> Any:
    budget = _Budget(size)
    with zipfile.ZipFile(file) as archive:

        def entry(name: str) -> bytes:
            about = archive.getinfo(name)
            budget.take(about.file_size, name)
            if about.compress_type != zipfile.ZIP_STORED:  # torch compresses nothing
                raise ValueError(f"{name} is compressed")
            return archive.read(about)

        (program,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        root = program.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and entry(f"{root}byteorder") != b"little":
            raise ValueError("written by a big-endian machine")
        loaded: dict[str, Tensor] = {}

        def storage(key: str, dtype: torch.dtype, numel: int) -> Tensor:
            if key not in loaded:
                loaded[key] = _numbers(entry(f"{root}data/{key}"), dtype)
                if len(loaded[key]) < numel:
                    raise ValueError(f"storage {key} is not whole")
            return loaded[key][:numel]

        return _Reader(io.BytesIO(entry(program)), storage).load()


def _read_sequence(file: BinaryIO, size: int) -> Any:
    """The format before zip: number, version, machine, the object, the keys of its storages, their numbers."""
    for _ in range(3):
        _Reader(file).load()
    loaded: dict[str, Tensor] = {}
    budget = _Budget(size)

    def storage(key: str, dtype: torch.dtype, numel: int) -> Tensor:
        if key not in loaded:
            budget.take(numel * dtype.itemsize, f"storage {key}")
            loaded[key] = torch.zeros(numel, dtype=dtype)
        return loaded[key]

    value = _Reader(file, storage).load()
    for key in _Reader(file).load():
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != len(loaded[key]):
            raise ValueError(f"storage {key} is not whole")
        dtype = loaded[key].dtype
        loaded[key].copy_(_numbers(file.read(numel * dtype.itemsize), dtype))  # the tensors made of it are views
    return value


def is_checkpoint(path: Path) -> bool:
    """Whether ``torch.save`` wrote the file (or began to)."""
    with open(path, "rb") as file:
        begins = file.read(4)
        file.seek(0)
        if begins == _ZIP:
            return True
        try:
            return bool(_Reader(file).load() == _MAGIC)
        except Exception:  # whatever a file that is no pickle makes an unpickler raise
            return False


def read_checkpoint(path: Path) -> Any:
    """What a file of ``torch.save`` holds, with ``Inert`` objects for all that is neither container nor tensor.

    ``torch.load(weights_only=True)`` would refuse every checkpoint that carries its configuration.

    Raises:
        UserError: truncated or damaged.
    """
    try:
        with open(path, "rb") as file:
            begins, size = file.read(4), path.stat().st_size
            file.seek(0)
            return _read_zip(file, size) if begins == _ZIP else _read_sequence(file, size)
    except Exception as error:  # an unpickler raises nearly every kind for a damaged file
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"{path}: truncated, damaged, or no checkpoint of weights ({why}); get the file again"
        ) from error
