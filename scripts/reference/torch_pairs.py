"""The contrastive loss of pairs and its gradients in PyTorch, for the tests in src/train/loss/contrastive.rs.

    python scripts/reference/torch_pairs.py

writes tests/golden/train/contrastive.json. Made with torch 2.15.0 (float64). Where all pairs match and share nothing, the loss is
`(cross_entropy(logits, arange) + cross_entropy(logits.T, arange)) / 2`, which is asserted here.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

from torch_noise import noise

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/train/contrastive.json"


def loss(image, audio, pairs, scores, temperature, min_score, by_score):
    logits = F.normalize(image, dim=1) @ F.normalize(audio, dim=1).T / temperature
    matches = scores >= min_score
    for row, (own_image, own_clip) in enumerate(pairs):
        for column, (other_image, other_clip) in enumerate(pairs):
            if row != column and ((own_image == other_image and matches[column]) or (own_clip == other_clip and matches[row])):
                logits[row, column] = -torch.inf
    weights = torch.where(matches, scores if by_score else torch.ones_like(scores), 0.0)
    each = -(logits.log_softmax(1).diagonal() + logits.log_softmax(0).diagonal()) / 2
    return (each * weights).sum() / weights.sum()


def case(name, pairs, scores, temperature, min_score, by_score, seed):
    shape = (len(pairs), 6)
    image = torch.tensor(noise(shape, seed, 1.0), dtype=torch.float64, requires_grad=True)
    audio = torch.tensor(noise(shape, seed + 1, 1.0), dtype=torch.float64, requires_grad=True)
    scores = torch.tensor(scores, dtype=torch.float64)
    value = loss(image, audio, pairs, scores, temperature, min_score, by_score)
    value.backward()
    if name == "plain":
        logits = F.normalize(image, dim=1) @ F.normalize(audio, dim=1).T / temperature
        own = torch.arange(len(pairs))
        plain = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        assert torch.allclose(value, plain)
    return {
        "name": name, "pairs": pairs, "scores": scores.tolist(), "temperature": temperature, "min_score": min_score,
        "by_score": by_score, "loss": value.item(),
        "image": image.flatten().tolist(), "audio": audio.flatten().tolist(),
        "image_gradient": image.grad.flatten().tolist(), "audio_gradient": audio.grad.flatten().tolist(),
    }


apart = [[number, number] for number in range(8)]
shared = [[0, 0], [0, 1], [1, 1], [2, 2], [3, 2], [0, 3], [4, 4], [5, 0]]
scores = [0.9, 0.7, 0.2, 0.55, 0.6, 0.4, 1.0, 0.8]
cases = [
    case("plain", apart, [1.0] * 8, 0.07, 0.5, False, 11),
    case("scored", apart, scores, 0.1, 0.5, False, 13),
    case("by score", apart, scores, 0.1, 0.5, True, 15),
    case("shared", shared, scores, 0.2, 0.5, False, 17),
    case("all match", shared, scores, 0.2, 0.0, True, 19),
]
OUT.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
