"""A checkpoint's nested dict as a flat dict of tensors and plain JSON, and back."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from speechunits.errors import UserError


def split(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Tensors by path and JSON for the rest; what JSON has no word for becomes ``{"$kind": ...}``.

    Tied tensors (one storage under several names) are stored once and come back tied.

    Raises:
        UserError: an object that is neither a tensor nor plain data; the sentence names its place.
    """
    tensors: dict[str, Tensor] = {}
    seen: dict[Any, str] = {}

    def place(tensor: Tensor, path: str) -> dict[str, str]:
        view = (tensor.device, tensor.dtype, tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        key = (*view, tensor.stride()) if tensor.numel() else None
        if key is None or key not in seen:
            name = path if path not in tensors else f"{path}#{len(tensors)}"
            # overlapping views would share storage on the CPU, which safetensors refuses
            tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
            if key is None:
                return {"$tensor": name}
            seen[key] = name
        return {"$tensor": seen[key]}

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, Tensor):
            return place(node, path)
        if node is None or type(node) in (bool, int, str):
            return node
        if type(node) is float:
            return node if math.isfinite(node) else {"$float": str(node)}
        if isinstance(node, dict):
            if all(type(k) is str for k in node) and not any(k.startswith("$") for k in node):
                return {k: walk(v, f"{path}/{k}") for k, v in node.items()}
            return {"$dict": [[walk(k, f"{path}/key"), walk(v, f"{path}/{k}")] for k, v in node.items()]}
        if type(node) is list:
            return [walk(v, f"{path}/{i}") for i, v in enumerate(node)]
        if type(node) is tuple:
            return {"$tuple": [walk(v, f"{path}/{i}") for i, v in enumerate(node)]}
        raise UserError(
            f"checkpoint entry {path.lstrip('/')}: a {type(node).__module__}.{type(node).__qualname__} cannot be saved;"
            " turn it into tensors, numbers, strings, lists or dicts in state_dict()"
        )

    return tensors, walk(tree, "")


def join(tensors: dict[str, Tensor], node: Any) -> Any:
    """The nested dict that ``split`` took apart."""
    if isinstance(node, list):
        return [join(tensors, v) for v in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        kind, value = next(iter(node.items()))
        if kind == "$tensor":
            return tensors[value]
        if kind == "$float":
            return float(value)
        if kind == "$tuple":
            return tuple(join(tensors, v) for v in value)
        if kind == "$dict":
            return {join(tensors, k): join(tensors, v) for k, v in value}
    return {k: join(tensors, v) for k, v in node.items()}
