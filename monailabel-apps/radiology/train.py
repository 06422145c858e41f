"""Train the nodule network from scratch on generated chests; the same weights every time on the same machine.

::

    python monailabel-apps/radiology/train.py --output nodule.pt            # train, write there
    python monailabel-apps/radiology/train.py --cached                      # print a ready file, train if there is none
    python monailabel-apps/radiology/train.py --cached --output nodule.pt   # the same, and put a copy there

An output that is a folder gets the file ``nodule.pt``. The server looks for ``$AURELIUS_MODELS/radiology/nodule.pt``.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.phantoms import bodies

if TYPE_CHECKING:
    import torch
    from monai.networks.nets import UNet

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
SOURCES = (
    Path(__file__),
    FOLDER.parent / "aurelius_annotation" / "tasks" / "nodule" / "network.py",
    Path(bodies.__file__),
)

TRAINING_SEEDS = range(1000, 1048)
HELD_OUT_SEEDS = range(5000, 5008)
PATCH = (48, 48)  # voxels (x, y)
THICKNESSES = (8, 16, 40)  # slices in a patch: a network that saw whole chests only finds ghosts in thin stacks
BATCH = 4
STEPS = 300


def main() -> None:
    """Do what the command line asks for and print where the weights are."""
    parser = argparse.ArgumentParser(description="Train the nodule network on generated chests.")
    parser.add_argument("--output", type=Path, help="file, or folder, to write the weights to")
    parser.add_argument("--cached", action="store_true", help="train only if these sources were not trained before")
    options = parser.parse_args()
    if not options.cached and options.output is None:
        parser.error("say where to write the weights: --output PATH, or --cached")
    output: Path | None = options.output
    if output is not None and output.is_dir():
        output = output / "nodule.pt"
    if not options.cached:
        assert output is not None  # noqa: S101 - the parser saw to it
        train(output)
        print(output)
        return
    cached = ensure_cached()
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_durably(output, cached.read_bytes())
    print(output or cached)


def ensure_cached() -> Path:
    """Return the weights of exactly these sources, trained now if they are not there yet.

    They are kept in ``.cache/models`` of the repository, or where ``AURELIUS_CACHE`` says.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()
    cache = Path(os.environ.get("AURELIUS_CACHE") or REPOSITORY / ".cache")
    path = cache / "models" / f"{digest[:16]}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two that start at once train once
            if not path.exists():
                train(path)
    return path


def train(output: Path) -> None:
    """Train, measure on phantoms never seen in training, and write weights with their card."""
    import torch

    from aurelius_annotation.tasks.nodule.network import ModelCard, build_network, hash_weights, write_weights

    started = time.monotonic()
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # the number of threads decides the order of sums, and so the last bits
    tell(f"making {len(TRAINING_SEEDS)} chests for training")
    images, truths = make_chests(TRAINING_SEEDS)
    network = build_network()
    fit(network, images, truths)
    images, truths = make_chests(HELD_OUT_SEEDS)
    dice = measure_dice(network, images, truths)
    tell(f"Dice {measure_dice(network, images[..., 12:28], truths[..., 12:28]):.3f} on 16 slices of unseen chests")
    card = ModelCard("aurelius-nodule", {"nodule": 1}, round(dice, 4), hash_weights(network.state_dict()))
    write_weights(output, network, card)
    tell(f"done in {time.monotonic() - started:.0f} s: Dice {dice:.3f} on {len(HELD_OUT_SEEDS)} unseen chests")


def make_chests(seeds: range) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return images (n, x, y, z) float32 scaled to 0..1 and truths (n, x, y, z) uint8 of generated chests."""
    from aurelius_annotation.tasks.nodule.network import WINDOW_HU

    made = [bodies.make_phantom("ct-chest", seed) for seed in seeds]
    low, high = WINDOW_HU
    images = np.stack([chest.image.transpose(2, 1, 0) for chest in made]).astype(np.float32)
    return np.clip((images - low) / (high - low), 0, 1), np.stack([chest.truth.transpose(2, 1, 0) for chest in made])


def fit(network: UNet, images: NDArray[np.float32], truths: NDArray[np.uint8]) -> None:
    """Fit ``network`` to patches, half of them around a nodule."""
    import torch
    from monai.losses import DiceCELoss

    dice = random.Random(7)  # noqa: S311 - a reproducible choice of patches, not a secret
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=8e-3, total_steps=STEPS)
    network.train()
    for step in range(1, STEPS + 1):
        patches, targets = cut_patches(images, truths, dice)
        optimizer.zero_grad()
        loss = loss_of(network(patches), targets)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 25 == 0:
            tell(f"step {step} of {STEPS}, loss {loss.item():.3f}")
    network.eval()


def cut_patches(
    images: NDArray[np.float32], truths: NDArray[np.uint8], dice: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one batch: images (n, 1, x, y, z) float32 and targets (n, 1, x, y, z) uint8."""
    import torch

    cut_images, cut_truths = [], []
    patch = (*PATCH, dice.choice(THICKNESSES))
    for index in range(BATCH):
        chest = dice.randrange(len(images))
        centre = [dice.randrange(size) for size in images.shape[1:]]
        if index % 2 == 0:
            inside = np.argwhere(truths[chest])
            centre = [int(at) + dice.randint(-12, 12) for at in inside[dice.randrange(len(inside))]]
        corner = [
            min(max(at - size // 2, 0), whole - size)
            for at, size, whole in zip(centre, patch, images.shape[1:], strict=True)
        ]
        x, y, z = (slice(at, at + size) for at, size in zip(corner, patch, strict=True))
        cut_images.append(images[chest, x, y, z])
        cut_truths.append(truths[chest, x, y, z])
    return torch.from_numpy(np.stack(cut_images)[:, None]), torch.from_numpy(np.stack(cut_truths)[:, None])


def measure_dice(network: UNet, images: NDArray[np.float32], truths: NDArray[np.uint8]) -> float:
    """Return the Dice coefficient of the network, averaged over chests."""
    import torch

    scores = []
    with torch.no_grad():
        for image, truth in zip(images, truths, strict=True):
            found = network(torch.from_numpy(image[None, None]))[0].argmax(0).numpy() == 1
            scores.append(2 * float((found & (truth == 1)).sum()) / max(int(found.sum()) + int(truth.sum()), 1))
    return float(np.mean(scores))


def tell(line: str) -> None:
    """Show progress; the path of the weights is all that goes to standard output."""
    print(f"train nodule: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
