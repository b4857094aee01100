"""Losses, optimisers, clipping and schedules of PyTorch, for tests/train_torch.rs.

    python scripts/reference/torch_train.py

writes tests/golden/train/*.json. Made with torch 2.15.0 (float32, one thread).
"""

import json
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

from torch_noise import noise

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/train"
torch.set_num_threads(1)


def values(tensor):
    return [float(value) for value in tensor.detach().flatten().tolist()]


# --- losses ---------------------------------------------------------------------------------------------------------------


def ccc(predicted, target, targets, weights):
    shares = torch.full_like(predicted, 1 / len(predicted)) if weights is None else weights / weights.sum(0)
    mx, my = (predicted * shares).sum(0), (target * shares).sum(0)
    x, y = predicted - mx, target - my
    cov = (x * y * shares).sum(0)
    loss = 1 - 2 * cov / ((x * x * shares).sum(0) + (y * y * shares).sum(0) + (mx - my) ** 2 + 1e-8)
    return (loss * targets).sum() / targets.sum()


def regression_loss(function):
    def loss(predicted, target, targets, weights):
        if targets is None and weights is None:
            return function(predicted, target, reduction="mean")
        each = function(predicted, target, reduction="none")
        factor = torch.ones_like(each)
        factor = factor if targets is None else factor * targets / targets.mean()
        factor = factor if weights is None else factor * weights
        return (each * factor).sum() / factor.sum()

    return loss


def regression_cases():
    functions = {
        'kind = "mse"': F.mse_loss,
        'kind = "mae"': F.l1_loss,
        'kind = "smooth-l1"\nbeta = 0.4': lambda *a, **k: F.smooth_l1_loss(*a, beta=0.4, **k),
        'kind = "smooth-l1"': F.smooth_l1_loss,
        'kind = "huber"\ndelta = 0.3': lambda *a, **k: F.huber_loss(*a, delta=0.3, **k),
        'kind = "huber"': F.huber_loss,
    }
    inputs = {
        "noise": (noise((7, 2), 1, 2.0), noise((7, 2), 2, 2.0)),
        "one example": (noise((1, 2), 3), noise((1, 2), 4)),
        # Differences of exactly 0, of exactly the borders, and large ones.
        "edges": (
            np.float32([[0, 0], [1, -1], [0.5, 0.25], [1e4, -1e4], [0, 3]]),
            np.float32([[0, 0], [0, 0], [0.5, -0.25], [0, 0], [1e-6, 3]]),
        ),
    }
    weightings = [(None, None), ([3.0, 1.0], None), (None, 5), ([1.0, 2.0], 6)]
    for toml, function in functions.items():
        for name, (predicted, target) in inputs.items():
            for targets, seed in weightings:
                weights = None if seed is None else np.abs(noise(predicted.shape, seed)) + np.float32(0.1)
                loss = regression_loss(function)
                factors = None if targets is None else torch.tensor(targets)
                yield toml, targets, name, predicted, target, weights, lambda p, t, w, l=loss, f=factors: l(p, t, f, w)
    for targets, seed in weightings:
        predicted, target = inputs["noise"]
        weights = None if seed is None else np.abs(noise(predicted.shape, seed)) + np.float32(0.1)
        factors = torch.ones(2) if targets is None else torch.tensor(targets)
        yield 'kind = "ccc"', targets, "noise", predicted, target, weights, lambda p, t, w, f=factors: ccc(p, t, f, w)


def classification_cases():
    inputs = {
        "noise": (noise((9, 4), 1, 3.0), [0, 3, 1, 1, 2, 0, 0, 3, 0]),
        "extreme": (np.float32([[200, -200, 0, 0], [-1e4, 1e4, 0, 0], [0, 0, 0, 0]]), [1, 1, 2]),
        "one example": (noise((1, 4), 7), [2]),
    }
    settings = [
        ("", None, 0.0),
        ("class_weights = { a = 2.0, c = 0.5 }", [2.0, 1.0, 0.5, 1.0], 0.0),
        ("label_smoothing = 0.1", None, 0.1),
        ("label_smoothing = 0.2\nclass_weights = { b = 3.0 }", [1.0, 3.0, 1.0, 1.0], 0.2),
    ]
    for toml, class_weights, smoothing in settings:
        for name, (predicted, target) in inputs.items():
            weight = None if class_weights is None else torch.tensor(class_weights)
            yield (
                f'kind = "cross-entropy"\n{toml}',
                None,
                name,
                predicted,
                np.array(target),
                None,
                lambda p, t, w, weight=weight, s=smoothing: F.cross_entropy(p, t, weight=weight, label_smoothing=s),
            )


def losses():
    found = []
    for toml, targets, name, predicted, target, weights, loss in [*regression_cases(), *classification_cases()]:
        p = torch.tensor(predicted, requires_grad=True)
        w = None if weights is None else torch.tensor(weights)
        value = loss(p, torch.tensor(target), w)
        value.backward()
        found.append(
            {
                "toml": toml if targets is None else f"{toml}\ntarget_weights = {targets}",
                "case": name,
                "outputs": predicted.shape[1],
                "predicted": values(p),
                "target": [float(v) for v in target.flatten()],
                "weights": None if w is None else values(w),
                "value": value.item(),
                "gradient": values(p.grad),
            }
        )
    return found


# --- optimisers -----------------------------------------------------------------------------------------------------------


def optimizers():
    """Ten steps on f = Σ a·(p − c)² + Σ sin(3p), over a weight of 3 × 4 and a bias of 3."""
    cases = [
        ("sgd", "learning_rate = 0.05", lambda p: torch.optim.SGD(p, lr=0.05)),
        ("sgd", "learning_rate = 0.05\nmomentum = 0.9", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
        (
            "sgd",
            "learning_rate = 0.05\nmomentum = 0.9\nnesterov = true\nweight_decay = 0.1",
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
        ),
        ("adam", "learning_rate = 0.05", lambda p: torch.optim.Adam(p, lr=0.05)),
        (
            "adam",
            "learning_rate = 0.05\nbeta1 = 0.8\nbeta2 = 0.95\nepsilon = 1e-3\nweight_decay = 0.2",
            lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        ),
        ("adamw", "learning_rate = 0.05\nweight_decay = 0.5", lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.5)),
        (
            "adamw",
            'learning_rate = 0.05\nweight_decay = 0.5\ndecay_on = "weights"',
            lambda p: torch.optim.AdamW([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.0}], lr=0.05, weight_decay=0.5),
        ),
        ("rmsprop", "learning_rate = 0.01", lambda p: torch.optim.RMSprop(p, lr=0.01)),
        (
            "rmsprop",
            "learning_rate = 0.01\nalpha = 0.9\nmomentum = 0.8\nweight_decay = 0.1",
            lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.8, weight_decay=0.1),
        ),
        (
            "rmsprop",
            "learning_rate = 0.01\nalpha = 0.9\ncentered = true\nmomentum = 0.5\nepsilon = 1e-6",
            lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, centered=True, momentum=0.5, eps=1e-6),
        ),
    ]
    clips = [("", None), ("clip_norm = 1.5", ("norm", 1.5)), ("clip_value = 0.8", ("value", 0.8))]
    found = []
    for index, (kind, toml, make) in enumerate(cases):
        for clip_toml, clip in clips if index in (1, 3) else clips[:1]:
            parameters = [torch.tensor(noise((3, 4), 1)), torch.tensor(noise((3,), 2))]
            for parameter in parameters:
                parameter.requires_grad_(True)
            a = [torch.tensor(noise((3, 4), 3)).abs() + 0.5, torch.tensor(noise((3,), 4)).abs() + 0.5]
            c = [torch.tensor(noise((3, 4), 5)), torch.tensor(noise((3,), 6))]
            optimizer = make(parameters)
            steps, norms = [], []
            for _ in range(10):
                optimizer.zero_grad()
                loss = sum((a * (p - c) ** 2).sum() + (3 * p).sin().sum() for a, p, c in zip(a, parameters, c))
                loss.backward()
                if clip is not None and clip[0] == "norm":
                    norms.append(torch.nn.utils.clip_grad_norm_(parameters, clip[1]).item())
                elif clip is not None:
                    torch.nn.utils.clip_grad_value_(parameters, clip[1])
                optimizer.step()
                steps.append([value for parameter in parameters for value in values(parameter)])
            found.append({"toml": f'kind = "{kind}"\n{toml}', "clip": clip_toml, "norms": norms, "steps": steps})
    return found


# --- schedules ------------------------------------------------------------------------------------------------------------

BASE, EPOCHS, PER_EPOCH = 0.02, 8, 5


def curve(make, by_epoch, warmup=None):
    """The rate of every update. `make(optimizer, updates)`; `warmup`: updates and the share at the start."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    length = EPOCHS * PER_EPOCH - (0 if warmup is None else warmup[0])
    course = make(optimizer, length)
    if warmup is not None:
        # LinearLR would set the rate before the course's own clock starts, so the two are made apart and joined.
        other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
        linear = torch.optim.lr_scheduler.LinearLR(other, start_factor=warmup[1], total_iters=warmup[0])
        first = []
        for _ in range(warmup[0]):
            first.append(other.param_groups[0]["lr"])
            other.step()
            linear.step()
    else:
        first = []
    rates = []
    for update in range(length):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not by_epoch or (update + 1) % PER_EPOCH == 0:
            course.step()
    return first + rates


def schedules():
    lr = torch.optim.lr_scheduler
    cases = [
        ('kind = "constant"', lambda o, n: lr.ConstantLR(o, factor=1.0), True),
        ('kind = "step"\nevery = 3\nfactor = 0.3', lambda o, n: lr.StepLR(o, step_size=3, gamma=0.3), True),
        ('kind = "exponential"\nfactor = 0.8', lambda o, n: lr.ExponentialLR(o, gamma=0.8), True),
        ('kind = "cosine"', lambda o, n: lr.CosineAnnealingLR(o, T_max=n), False),
        (
            'kind = "cosine"\npace = "epoch"\nmin_learning_rate = 0.001',
            lambda o, n: lr.CosineAnnealingLR(o, T_max=-(-n // PER_EPOCH), eta_min=0.001),
            True,
        ),
        ('kind = "one-cycle"', lambda o, n: lr.OneCycleLR(o, BASE, total_steps=n, cycle_momentum=False), False),
        (
            'kind = "one-cycle"\nrising = 0.5\nstart_divisor = 10.0\nend_divisor = 100.0\ncurve = "linear"',
            lambda o, n: lr.OneCycleLR(
                o, BASE, total_steps=n, pct_start=0.5, div_factor=10, final_div_factor=100, anneal_strategy="linear",
                cycle_momentum=False,
            ),
            False,
        ),
    ]
    found = []
    for toml, make, by_epoch in cases:
        found.append({"toml": toml, "rates": curve(make, by_epoch)})
        warm = f"{toml}\nwarmup = {{ epochs = 1.0, steps = 2, from = 0.25 }}"
        found.append({"toml": warm, "rates": curve(make, by_epoch, (7, 0.25))})
    return found


def plateaus():
    monitored = [1.0, 0.9, 0.95, 0.91, 0.9, 0.8, 0.81, 0.7999, 0.85, 0.9, 0.8, 0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
    cases = [
        ("factor = 0.5\npatience = 1", dict(factor=0.5, patience=1)),
        ("factor = 0.1\npatience = 2\nmin_learning_rate = 1e-4", dict(factor=0.1, patience=2, min_lr=1e-4)),
        ("factor = 0.5\npatience = 0\ncooldown = 2", dict(factor=0.5, patience=0, cooldown=2)),
        ("factor = 0.5\npatience = 1\nthreshold = 0.1", dict(factor=0.5, patience=1, threshold=0.1)),
    ]
    found = []
    for toml, options in cases:
        for mode in ["min", "max"]:
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **options)
            rates = []
            for value in monitored:
                optimizer.step()
                schedule.step(value if mode == "min" else 1 - value)
                rates.append(optimizer.param_groups[0]["lr"])
            shown = [value if mode == "min" else 1 - value for value in monitored]
            found.append({"toml": f'kind = "plateau"\n{toml}', "maximize": mode == "max", "values": shown, "rates": rates})
    return found


def write(name, content):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps({"torch": torch.__version__, "cases": content}) + "\n")


write("losses", losses())
write("optimizers", optimizers())
write("schedules", schedules())
write("plateaus", plateaus())
