"""Whole trainings beside PyTorch's: the same network, data, split and settings, several seeds of each.

    python scripts/compare_torch_training.py --affect target/release/affect --experiment experiments/emodb-cnn.toml \\
        [--set dataset.root=FOLDER]... [--seeds 5] [--threads 2] [--out FILE.md]

affect runs the experiment with so many seeds and exports its features. PyTorch then trains on these arrays, on the split that the
runs kept in split.csv, with the network, loss, optimiser, plateau and early stopping of the resolved experiment.toml, and its own
initialisation, order of examples and dropout. The two are the same procedure with other draws, so their scores should differ no
more than those of seeds do. The table has each one's mean and standard deviation, and Welch's t-test of their difference.

Understands classification with conv2d blocks, adaptive_avg_pool2d, global_pool over the image, dropout and linear; cross-entropy; adamw;
the constant and plateau schedules; no augmentation. Needs the packages of scripts/reference/requirements-torch.txt, and scikit-learn and
scipy.
"""

import argparse
import copy
import csv
import json
import pathlib
import statistics
import subprocess
import tempfile
import tomllib

import numpy as np
import torch
from scipy.stats import ttest_ind
from sklearn.metrics import accuracy_score, recall_score
from torch import nn


class MeanAndDeviation(nn.Module):
    def forward(self, x):
        return torch.cat([x.mean((2, 3)), x.std((2, 3), correction=0)], 1)


def network(layers, shape, classes):
    """The layers of the experiment, for inputs of `shape`."""
    modules, x = [], torch.zeros(2, *shape)
    for layer in layers:
        (kind, spec), = layer.items()
        match kind:
            case "conv2d":
                assert spec["stride"] == 1 and spec["padding"] == "same" and spec["dilation"] == 1 and spec["groups"] == 1, spec
                norm = spec.get("batch_norm", False)
                new = [nn.Conv2d(x.shape[1], spec["channels"], spec["kernel"], padding="same", bias=not norm)]
                new += [nn.BatchNorm2d(spec["channels"])] if norm else []
                new += [{"relu": nn.ReLU}[spec["activation"]]()] if "activation" in spec else []
                new += [nn.MaxPool2d(spec["max_pool"])] if "max_pool" in spec else []
                new += [nn.Dropout(spec["dropout"])] if "dropout" in spec else []
            case "adaptive_avg_pool2d":
                new = [nn.AdaptiveAvgPool2d(spec), nn.Flatten()]
            case "global_pool":
                assert spec == {"statistics": ["mean", "deviation"], "over": "image"}, spec
                new = [MeanAndDeviation()]
            case "dropout":
                new = [nn.Dropout(spec)]
            case "linear":
                assert spec == "targets", spec
                new = [nn.Linear(x.shape[1], classes)]
            case _:
                raise SystemExit(f"this script does not know the layer {kind}")
        block = nn.Sequential(*new)
        with torch.no_grad():
            x = block(x)
        modules.append(block)
    return nn.Sequential(*modules)


def train(settings, data, seed):
    """Accuracy and UAR on the test split of the parameters that were best on the validation split."""
    torch.manual_seed(seed)
    (x_train, y_train), (x_val, y_val), (x_test, y_test) = data
    classes = int(max(y.max() for _, y in data)) + 1
    model = network(settings["model"]["layers"], x_train.shape[1:], classes)
    counts = torch.bincount(y_train, minlength=classes)
    weight = None
    if settings["loss"].get("class_weights") == "balanced":
        weight = len(y_train) / (classes * counts.clamp(min=1)).float()
    loss_of = nn.CrossEntropyLoss(weight, label_smoothing=settings["loss"].get("label_smoothing", 0.0))
    spec = settings["optimizer"]
    assert spec["kind"] == "adamw" and spec["decay_on"] == "all", spec
    optimizer = torch.optim.AdamW(model.parameters(), spec["learning_rate"], (spec["beta1"], spec["beta2"]), spec["epsilon"],
                                  spec["weight_decay"])
    schedule = settings["schedule"]
    plateau = None
    if schedule["kind"] == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=schedule["factor"], patience=schedule["patience"], threshold=schedule.get("threshold", 1e-4),
            min_lr=schedule.get("min_learning_rate", 0.0))
    stopping = settings["train"]["early_stopping"]
    assert stopping["monitor"] == "val/loss" and not settings.get("augment"), settings
    best, best_state, waited = float("inf"), None, 0
    for _ in range(settings["train"]["epochs"]):
        model.train()
        for batch in torch.randperm(len(y_train)).split(settings["train"]["batch_size"]):
            optimizer.zero_grad()
            loss_of(model(x_train[batch]), y_train[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            loss = float(loss_of(model(x_val), y_val))
        if plateau:
            plateau.step(loss)
        if loss < best - stopping["min_delta"]:
            best, best_state, waited = loss, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
            if waited >= stopping["patience"]:
                break
    model.load_state_dict(best_state)
    model.eval()
    with torch.no_grad():
        said = model(x_test).argmax(1)
    return accuracy_score(y_test, said), recall_score(y_test, said, average="macro", labels=sorted(set(y_test.tolist())))


def affect(arguments, *words):
    command = [str(arguments.affect.resolve()), *words, *[word for key in arguments.set for word in ("--set", key)]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def arrays(folder, run):
    """Inputs and classes of the three sides, normalised as `train-statistics` does: each mel band over the training examples."""
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    sides = []
    for side in ["train", "val", "test"]:
        of_side = [row for row in rows if row["split"] == side]
        x = np.stack([np.load(next(folder.glob(f"song_{pathlib.Path(row['id']).stem}_seg_*.npy"))) for row in of_side])
        sides.append((x.reshape(len(x), 1, *x.shape[-2:]), np.array([classes.index(row["label"]) for row in of_side])))
    mean, deviation = sides[0][0].mean((0, 1, 3), keepdims=True), sides[0][0].std((0, 1, 3), keepdims=True)
    return [(torch.tensor((x - mean) / deviation, dtype=torch.float32), torch.tensor(y)) for x, y in sides]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--affect", type=pathlib.Path, required=True)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        where = ["--cache", str(scratch / "cache"), "--threads", str(arguments.threads)]
        affect(arguments, "features", arguments.experiment, "--export", "song-seg", str(scratch / "arrays"), *where)
        said = json.loads(affect(arguments, "run", arguments.experiment, "--seeds", str(arguments.seeds), "--runs", str(scratch / "runs"),
                                 "--json", *where))
        runs = [next((scratch / "runs").glob(f"*/{run}")) for run in said["runs"]]
        settings = tomllib.loads((runs[0] / "experiment.toml").read_text())
        data = arrays(scratch / "arrays", runs[0])
        ours = {"accuracy": [], "uar": []}
        for run in runs:
            with open(run / "predictions.csv", newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
            truth, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
            ours["accuracy"].append(accuracy_score(truth, predicted))
            ours["uar"].append(recall_score(truth, predicted, average="macro", labels=sorted(set(truth))))
    first = settings["experiment"]["seed"]
    theirs = {"accuracy": [], "uar": []}
    for seed in range(first, first + arguments.seeds):
        for name, value in zip(theirs, train(settings, data, seed), strict=True):
            theirs[name].append(value)
    lines = [f"Test split, {arguments.seeds} seeds of each, mean ± standard deviation:", "",
             "| metric | affect | PyTorch | difference | p (Welch) |", "| --- | --- | --- | --- | --- |"]
    for name in ours:
        shown = [f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" for values in (ours[name], theirs[name])]
        difference = statistics.mean(ours[name]) - statistics.mean(theirs[name])
        lines.append(f"| {name} | {' | '.join(shown)} | {difference:+.4f} | {ttest_ind(ours[name], theirs[name], equal_var=False).pvalue:.2f} |")
    lines += ["", f"affect: {ours}", f"PyTorch: {theirs}", ""]
    text = "\n".join(lines)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
