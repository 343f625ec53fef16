"""Files of features: npz and safetensors, with labels, names and metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from headstart.features.pca import PrincipalComponents
from headstart.types import UserError

Format = Literal["safetensors", "npz"]
KIND = "headstart embedding 1"


@dataclass(frozen=True)
class Embedding:
    """The features of a split's images, row by row, with their origin."""

    features: Mapping[str, Tensor]  # stage -> (N, D), or (N, n) where there are directions
    label: Tensor  # (N,), int64: places in class_names; of several labels an image (N, classes), float32, 0 or 1
    names: tuple[str, ...]  # of the images
    class_names: tuple[str, ...]
    about: Mapping[str, Any]  # JSON: where the weights and the images come from
    directions: Mapping[str, PrincipalComponents] = field(
        default_factory=dict
    )  # stage -> what its features were projected on


def write(path: Path, embedding: Embedding) -> None:
    """Write .safetensors or .npz, there whole or not at all.

    Arrays `features.<stage>`, `label`, and with directions `pca.<stage>.mean`, `.components`, `.variance`, `.share`.
    `names`, `class_names` and `about` are arrays of text in an npz (`about` as JSON), and JSON in the metadata of a
    safetensors file, which can hold numbers only. Raises ValueError where a row lacks its label or its name.
    """
    count = len(embedding.names)
    for name, tensor in {**embedding.features, "label": embedding.label}.items():
        if len(tensor) != count:
            raise ValueError(f"each image needs a row, got {len(tensor)} rows of {name} for {count} names")
    arrays = {f"features.{stage}": tensor for stage, tensor in embedding.features.items()}
    arrays["label"] = embedding.label
    for stage, components in embedding.directions.items():
        arrays |= {f"pca.{stage}.{name}": tensor for name, tensor in components._asdict().items()}
    text: dict[str, Any] = {
        "names": list(embedding.names),
        "class_names": list(embedding.class_names),
        "about": dict(embedding.about),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.suffix == ".npz":
            words: dict[str, Any] = {"about": np.array(json.dumps(text["about"]))}
            words |= {name: np.array(text[name], dtype=np.str_) for name in ("names", "class_names")}
            words |= {name: tensor.numpy() for name, tensor in arrays.items()}
            with partial.open("wb") as stream:  # by its name, numpy would add .npz to it
                np.savez(stream, **words)
        else:
            from safetensors.torch import save_file

            metadata = {"kind": KIND} | {name: json.dumps(value) for name, value in text.items()}
            save_file({name: tensor.contiguous() for name, tensor in arrays.items()}, partial, metadata=metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_embedding(path: Path) -> bool:
    """Whether a file says that it is one of ours; of its arrays no more is read than the names."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {"names", "class_names", "about"} <= set(file.files)
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("kind") == KIND
    except Exception:  # each format has errors of its own for what is another's
        return False


def read(path: Path) -> Embedding:
    """What was written. Raises UserError where the file holds no embedding of ours."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        names, class_names, about = (content.pop(name, None) for name in ("names", "class_names", "about"))
        if names is None or class_names is None or about is None:
            raise UserError(f"{path} is no file of task=embed: it lacks names, class_names or about")
        arrays = {name: torch.from_numpy(array) for name, array in content.items()}
        return _embedding(arrays, names.tolist(), class_names.tolist(), json.loads(str(about)))
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("kind") != KIND:
            raise UserError(f"{path} is no file of task=embed: its kind is {metadata.get('kind')!r}, not {KIND!r}")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    return _embedding(arrays, *(json.loads(metadata[name]) for name in ("names", "class_names", "about")))


def _embedding(arrays: dict[str, Tensor], names: list[str], class_names: list[str], about: Any) -> Embedding:
    start = "features."
    stages = [name.removeprefix(start) for name in arrays if name.startswith(start)]
    stages = [stage for stage in about.get("stages", stages) if stage in stages]  # in the order of the backbone
    return Embedding(
        features={stage: arrays[start + stage] for stage in stages},
        label=arrays["label"],
        names=tuple(names),
        class_names=tuple(class_names),
        about=about,
        directions={
            stage: PrincipalComponents(**{name: arrays[f"pca.{stage}.{name}"] for name in PrincipalComponents._fields})
            for stage in stages
            if f"pca.{stage}.mean" in arrays
        },
    )
