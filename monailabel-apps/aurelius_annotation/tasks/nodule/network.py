"""The small segmentation network: its shape, its input, and the file its weights travel in.

Training and inference share this module, so that what the network was shown in training is what it gets later.
It runs in the annotation environment only (torch and MONAI).
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from monai.networks.nets import UNet

from aurelius_catalog.durable_files import write_durably

#: Grid the network works on: (x, y, z) in mm, patient LPS.
SPACING_MM = (3.5, 3.5, 3.0)
#: Hounsfield units that become 0 and 1; everything outside is clipped.
WINDOW_HU = (-1000.0, 400.0)
#: Voxels (x, y, z) the network sees at once when a volume is larger.
FIELD = (96, 96, 40)
#: Sizes the network takes are multiples of this: it halves its grid three times.
STRIDE = 8


@dataclass(frozen=True)
class ModelCard:
    """What the weights are: stored in the same file, shown wherever the model is named.

    Parameters
    ----------
    name
        Name of the model, as it stands beside every prediction.
    labels
        Label name to voxel value; 0 is background.
    dice
        Mean Dice coefficient over the phantoms that training never saw.
    hash
        SHA-256 over names, shapes and values of all weights.
    """

    name: str
    labels: dict[str, int]
    dice: float
    hash: str


def build_network() -> UNet:
    """Build the untrained network: one channel in, background and foreground scores out."""
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        channels=(8, 16, 32, 64),
        strides=(2, 2, 2),
        num_res_units=1,
        norm="batch",
    )


def hash_weights(state: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 over all weights, independent of the file they are stored in."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def write_weights(path: Path, network: UNet, card: ModelCard) -> None:
    """Write weights and card to one file, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"model": network.state_dict(), "card": json.dumps(asdict(card))}, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, buffer.getvalue())


def read_card(path: Path) -> ModelCard:
    """Read the card of a weights file and check that the weights are the ones it describes.

    Raises
    ------
    ValueError
        If the file is no weights file of ours, or its weights were changed.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        card = ModelCard(**json.loads(stored["card"]))
        weights = stored["model"]
    except Exception as error:
        raise ValueError(f"{path.name} holds no weights of the radiology app; train them again.") from error
    if hash_weights(weights) != card.hash:
        raise ValueError(f"The weights in {path.name} are not the ones its card describes; train them again.")
    return card
