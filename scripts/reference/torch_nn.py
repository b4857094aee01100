"""Layers and whole networks of PyTorch, for tests/nn_torch.rs.

    python scripts/reference/torch_nn.py

writes tests/golden/nn/layers.json, presets.json, training.json and initial.json. Made with torch 2.15.0 (one thread).

Inputs and parameters are drawn by `noise`, which the test has too, so the files hold results only: of tensors of more than
`FULL` numbers every n-th one and the norm. The objective is Σ output · noise. Values are those of float64; `float32` says how far
PyTorch's own float32 is from them, relative to the largest value.
"""

import copy
import json
import pathlib

import torch
from torch import nn

from torch_noise import noise

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/nn"
FULL = 200
torch.set_num_threads(1)


def sample(exact, single):
    """All of a small tensor; FULL evenly spaced numbers of a large one, and its norm."""
    flat = exact.detach().flatten()
    stride = max(1, -(-len(flat) // FULL))
    error = (single.detach().double().flatten() - flat).abs().max() / max(flat.abs().max(), 1e-300)
    return {
        "shape": list(exact.shape),
        "stride": stride,
        "values": [float(f"{value:.9g}") for value in flat[::stride].tolist()],
        "norm": flat.norm().item(),
        "float32": float(f"{error.item():.2g}"),
    }


class Shape(nn.Module):
    """A function without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def sequence(x):
    """[batch, channels, rows, frames] to [batch, frames, channels · rows]."""
    return x.flatten(1, 2).transpose(1, 2) if x.dim() == 4 else x


class Gru(nn.Module):
    def __init__(self, inputs, units, last=False, **options):
        super().__init__()
        self.gru = nn.GRU(inputs, units, batch_first=True, **options)
        self.last = last

    def forward(self, x):
        states, ends = self.gru(sequence(x))
        if not self.last:
            return states
        rows = 2 if self.gru.bidirectional else 1
        return torch.cat(list(ends[-rows:]), dim=1)


class Attention(nn.Module):
    def __init__(self, numbers, units):
        super().__init__()
        self.hidden = nn.Linear(numbers, units)
        self.query = nn.Linear(units, 1, bias=False)

    def forward(self, x):
        x = sequence(x)
        weights = torch.softmax(self.query(torch.tanh(self.hidden(x))), dim=1)
        return (weights * x).sum(1)


class Residual(nn.Module):
    def __init__(self, inputs, channels, stride=1, kernel=3, activation=torch.relu):
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(inputs, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.around = None
        if inputs != channels or stride != 1:
            self.around = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.second_norm(self.second(self.activation(self.first_norm(self.first(x)))))
        return self.activation(y + (x if self.around is None else self.around(x)))


def figures(x, dims, names):
    found = []
    for name in names:
        if name == "mean":
            found.append(x.mean(dims).flatten(1))
        else:
            found.append((x.var(dims, unbiased=False) + 1e-5).sqrt().flatten(1))
    return torch.cat(found, dim=1)


def layers():
    image, frames = [2, 9, 11], None
    f = nn.functional
    yield '{ conv2d = { channels = 4 } }', image, nn.Conv2d(2, 4, 3, padding=1)
    yield '{ conv2d = { channels = 4, padding = "valid", kernel = [3, 2] } }', image, nn.Conv2d(2, 4, (3, 2))
    yield (
        '{ conv2d = { channels = 4, kernel = [3, 2], stride = [2, 3], padding = [1, 2], dilation = [1, 3] } }',
        image,
        nn.Conv2d(2, 4, (3, 2), stride=(2, 3), padding=(1, 2), dilation=(1, 3)),
    )
    yield '{ conv2d = { channels = 3, dilation = 2 } }', image, nn.Conv2d(2, 3, 3, padding=2, dilation=2)
    yield '{ conv2d = { channels = 6, groups = 2, bias = false } }', image, nn.Conv2d(2, 6, 3, padding=1, groups=2, bias=False)
    yield (
        '{ conv2d = { channels = 4, groups = 4, stride = 2, padding = 1, dilation = 2 } }',
        [4, 9, 11],
        nn.Conv2d(4, 4, 3, padding=1, groups=4, stride=2, dilation=2),
    )
    yield (
        '{ conv2d = { channels = 5, batch_norm = true, activation = "relu", max_pool = [2, 3] } }',
        image,
        nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d((2, 3))),
    )
    yield '{ residual = { channels = 2 } }', image, Residual(2, 2)
    yield '{ residual = { channels = 5, stride = 2, activation = "elu" } }', image, Residual(2, 5, stride=2, activation=f.elu)
    yield '{ batch_norm = {} }', image, nn.BatchNorm2d(2)
    yield '{ batch_norm = { momentum = 0.3, epsilon = 1e-2 } }', image, nn.BatchNorm2d(2, momentum=0.3, eps=1e-2)
    yield (
        '{ linear = { units = 6, activation = "elu" } }, { batch_norm = {} }',
        image,
        nn.Sequential(nn.Flatten(), nn.Linear(2 * 9 * 11, 6), nn.ELU(), nn.BatchNorm1d(6)),
    )
    yield '{ layer_norm = {} }', image, nn.LayerNorm(image)
    yield '{ layer_norm = { over = "last", epsilon = 1e-3 } }', image, nn.LayerNorm(11, eps=1e-3)
    for toml, module in [
        ('{ relu = {} }', nn.ReLU()),
        ('{ leaky_relu = { slope = 0.2 } }', nn.LeakyReLU(0.2)),
        ('{ gelu = {} }', nn.GELU()),
        ('{ gelu = { form = "tanh" } }', nn.GELU(approximate="tanh")),
        ('{ elu = { alpha = 0.7 } }', nn.ELU(0.7)),
        ('{ tanh = {} }', nn.Tanh()),
        ('{ sigmoid = {} }', nn.Sigmoid()),
    ]:
        yield toml, image, module
    # A linear layer whose outputs are all exactly 0 (the test sets its parameters to 0): what happens at the kinks.
    for name in ["relu", "leaky-relu", "elu", "gelu", "gelu-tanh"]:
        module = {
            "relu": nn.ReLU(), "leaky-relu": nn.LeakyReLU(0.01), "elu": nn.ELU(), "gelu": nn.GELU(),
            "gelu-tanh": nn.GELU(approximate="tanh"),
        }[name]
        linear = nn.Linear(198, 3)
        linear.all_zero = True
        yield f'{{ linear = {{ units = 3, activation = "{name}" }} }}', image, nn.Sequential(nn.Flatten(), linear, module)
    yield '{ max_pool2d = 2 }', image, nn.MaxPool2d(2)
    yield (
        '{ max_pool2d = { window = [3, 4], stride = [2, 1], padding = [1, 2] } }',
        image,
        nn.MaxPool2d((3, 4), stride=(2, 1), padding=(1, 2)),
    )
    # Equal values everywhere: who gets the gradient?
    yield (
        '{ conv2d = { channels = 2, kernel = 1, padding = 0 } }, { relu = {} }, { max_pool2d = { window = 3, stride = 2 } }',
        image,
        nn.Sequential(zero(nn.Conv2d(2, 2, 1)), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
    )
    yield '{ avg_pool2d = [2, 3] }', image, nn.AvgPool2d((2, 3))
    yield (
        '{ avg_pool2d = { window = 3, stride = [1, 2], padding = [1, 0] } }',
        image,
        nn.AvgPool2d(3, stride=(1, 2), padding=(1, 0)),
    )
    for size in [(1, 1), (2, 3), (4, 11), (13, 5)]:
        yield f'{{ adaptive_avg_pool2d = {list(size)} }}', image, nn.AdaptiveAvgPool2d(size)
        yield f'{{ adaptive_max_pool2d = {list(size)} }}', image, nn.AdaptiveMaxPool2d(size)
    yield '{ global_pool = {} }', image, Shape(lambda x: figures(x, (2, 3), ["mean", "deviation"]))
    yield (
        '{ global_pool = { over = "frames", statistics = ["deviation", "mean"] } }',
        image,
        Shape(lambda x: figures(x, 3, ["deviation", "mean"])),
    )
    yield '{ linear = 5 }', image, nn.Sequential(nn.Flatten(), nn.Linear(198, 5))
    yield '{ linear = { units = 5, per_frame = true } }', image, nn.Sequential(Shape(sequence), nn.Linear(18, 5))
    yield '{ gru = { units = 4 } }', image, Gru(18, 4)
    yield '{ gru = { units = 4, bidirectional = true } }', image, Gru(18, 4, bidirectional=True)
    yield '{ gru = { units = 3, bidirectional = true, output = "last", layers = 2 } }', image, Gru(
        18, 3, last=True, bidirectional=True, num_layers=2
    )
    yield '{ gru = { units = 3, output = "last" } }', [1, 5, 60], Gru(5, 3, last=True)
    yield '{ attention_pool = { units = 6 } }', image, Attention(18, 6)
    yield (
        '{ gru = { units = 4 } }, { layer_norm = { over = "last" } }, { tanh = {} }, { batch_norm = {} }, { attention_pool = { units = 3 } }',
        image,
        nn.Sequential(
            Gru(18, 4), nn.LayerNorm(4), nn.Tanh(), Shape(lambda x: x.transpose(1, 2)), nn.BatchNorm1d(4),
            Shape(lambda x: x.transpose(1, 2)), Attention(4, 3),
        ),
    )


def zero(module):
    module.all_zero = True
    return module


def block(inputs, channels, norm):
    parts = [nn.Conv2d(inputs, channels, 3, padding=1, bias=not norm)]
    return parts + ([nn.BatchNorm2d(channels)] if norm else []) + [nn.ReLU(), nn.MaxPool2d(2)]


def blocks(channels, norm, outputs):
    found = []
    for inputs, channel in zip([1, *channels], channels):
        found += block(inputs, channel, norm)
    return nn.Sequential(*found, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], outputs))


def meld(rows, frames):
    found = []
    for inputs, channels in zip([1, 32, 64, 128], [32, 64, 128, 256]):
        norm = nn.BatchNorm2d(channels, momentum=0.01, eps=1e-3)
        found += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(), norm, nn.MaxPool2d(2)]
    size = 256 * (rows // 16) * (frames // 16)
    dense = [nn.Flatten(), nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 7)]
    return nn.Sequential(*found, *dense)


def crnn(rows):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Shape(sequence), nn.Linear(8 * rows, 8),
        Gru(8, 8, bidirectional=True), Shape(lambda x: x.mean(1)), nn.Linear(16, 2),
    )


def attention_crnn(rows):
    parts = [nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2)]
    parts += block(24, 48, True)
    parts += [nn.Conv2d(48, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*parts, Gru(64 * (rows // 8), 32, bidirectional=True), Attention(64, 32), nn.Linear(64, 7))


def presets():
    yield "deam-cnn", [1, 128, 216], 2, blocks([16, 32], False, 2)
    yield "music2emotion", [1, 64, 323], 2, blocks([16, 32, 64], True, 2)
    yield "music2emotion-4", [1, 64, 161], 2, blocks([32, 64, 128, 256], True, 2)
    yield "meld-cnn", [1, 128, 128], 7, meld(128, 128)
    yield "crnn", [1, 64, 60], 2, crnn(64)
    yield "attention-crnn", [1, 64, 121], 7, attention_crnn(64)


def special(module):
    """Parameters that are 0, and gains of norms."""
    zeros = set()
    for part in module.modules():
        if getattr(part, "all_zero", False):
            zeros |= {id(parameter) for parameter in part.parameters()}
    norms = {
        id(part.weight)
        for part in module.modules()
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm))
    }
    return zeros, norms


def fill(module, zeros, norms):
    """Parameters are noise of ±1/√fan-in, seeds 100 and up; gains of norms are 1 + noise / 4."""
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            fan = max(1, parameter[0].numel()) if parameter.dim() > 1 else 4
            values = torch.tensor(noise(tuple(parameter.shape), 100 + index, 1 / fan**0.5))
            if id(parameter) in norms:
                values = 1 + torch.tensor(noise(tuple(parameter.shape), 100 + index, 0.25))
            parameter.copy_(torch.zeros_like(values) if id(parameter) in zeros else values)


def run(module, shape, batch):
    zeros, norms = special(module)
    fill(module, zeros, norms)

    def results(module, dtype):
        module = copy.deepcopy(module).to(dtype)
        x = torch.tensor(noise((batch, *shape), 1, 2.0), dtype=dtype, requires_grad=True)
        module.train()
        out = module(x)
        weights = torch.tensor(noise(tuple(out.shape), 2), dtype=dtype)
        (out * weights).sum().backward()
        buffers = [buffer for name, buffer in module.named_buffers() if "num_batches" not in name]
        module.eval()
        with torch.no_grad():
            evaluated = module(x)
        return out, x.grad, [parameter.grad for parameter in module.parameters()], buffers, evaluated

    exact, single = results(module, torch.float64), results(module, torch.float32)
    lists = [[sample(a, b) for a, b in zip(exact[which], single[which])] for which in (2, 3)]
    return {
        "batch": batch,
        "output": sample(exact[0], single[0]),
        "input_gradient": sample(exact[1], single[1]),
        "gradients": lists[0],
        "buffers": lists[1],
        "evaluated": sample(exact[4], single[4]),
        "zeros": [index for index, parameter in enumerate(module.parameters()) if id(parameter) in zeros],
        "gains": [index for index, parameter in enumerate(module.parameters()) if id(parameter) in norms],
    }


def write(name, cases):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


write("layers", [{"layers": toml, "shape": shape, **run(module, shape, 3)} for toml, shape, module in layers()])
write(
    "presets",
    [{"preset": name, "shape": shape, "outputs": outputs, **run(module, shape, 4)} for name, shape, outputs, module in presets()],
)


def initial():
    """Bounds and deviations of what PyTorch's layers begin with, over many draws."""
    torch.manual_seed(0)
    found = []
    for toml, make, size in [
        ("{ conv2d = { channels = 64, kernel = 5 } }", lambda: nn.Conv2d(8, 64, 5), [8, 9, 11]),
        ("{ conv2d = { channels = 64, groups = 4 } }", lambda: nn.Conv2d(8, 64, 3, groups=4), [8, 9, 11]),
        ("{ linear = 200 }", lambda: nn.Linear(8 * 9 * 11, 200), [8, 9, 11]),
        ("{ gru = { units = 64 } }", lambda: nn.GRU(72, 64), [8, 9, 11]),
    ]:
        module = make()
        parameters = [p.detach() for p in module.parameters()]
        found.append(
            {
                "layers": toml,
                "shape": size,
                "largest": [p.abs().max().item() for p in parameters],
                "deviation": [p.std().item() for p in parameters],
                "count": [p.numel() for p in parameters],
            }
        )
    inits = {
        "xavier-uniform": nn.init.xavier_uniform_,
        "xavier-normal": nn.init.xavier_normal_,
        "kaiming-uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        "kaiming-normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "orthogonal": nn.init.orthogonal_,
    }
    for name, init in inits.items():
        weight = init(torch.empty(64, 8, 5, 5))
        found.append(
            {
                "layers": f'{{ conv2d = {{ channels = 64, kernel = 5, init = "{name}" }} }}',
                "shape": [8, 9, 11],
                "largest": [weight.abs().max().item(), 0.0],
                "deviation": [weight.std().item(), 0.0],
                "count": [weight.numel(), 64],
            }
        )
    return found


write("initial", initial())


def train(preset, shape, module, make):
    """Ten updates on one batch of 8, mean squared error against noise."""
    zeros, norms = special(module)
    fill(module, zeros, norms)
    gains = [index for index, parameter in enumerate(module.parameters()) if id(parameter) in norms]
    losses, ends = {}, {}
    for dtype in [torch.float64, torch.float32]:
        model = copy.deepcopy(module).to(dtype).train()
        optimizer = make(model.parameters())
        x = torch.tensor(noise((8, *shape), 1, 2.0), dtype=dtype)
        y = torch.tensor(noise((8, 2), 2), dtype=dtype)
        losses[dtype] = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses[dtype].append(loss.item())
        ends[dtype] = list(model.parameters())
    exact, single = losses[torch.float64], losses[torch.float32]
    return {
        "preset": preset,
        "shape": shape,
        "gains": gains,
        "losses": exact,
        "float32": max(abs(a - b) / max(exact) for a, b in zip(exact, single)),
        "parameters": [sample(a, b) for a, b in zip(ends[torch.float64], ends[torch.float32])],
    }


ADAMW = ("adamw", lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01, eps=1e-4))
SGD = ("sgd", lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9))
write(
    "training",
    [
        {"optimizer": name, **train(preset, shape, module, make)}
        for name, make in [ADAMW, SGD]
        for preset, shape, module in [
            ("deam-cnn", [1, 32, 40], blocks([16, 32], False, 2)),
            ("music2emotion", [1, 32, 40], blocks([16, 32, 64], True, 2)),
            ("crnn", [1, 16, 30], crnn(16)),
        ]
    ],
)
