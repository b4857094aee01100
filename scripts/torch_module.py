"""The PyTorch module of an exported network.

    affect export RUN --safetensors model.safetensors        (or --pytorch-state model.pt)
    python scripts/torch_module.py model.safetensors         prints the module and what it makes of zeros

    from torch_module import load
    module, about = load("model.safetensors")                in your own program, from this folder
    module(features)                                         [batch, channels, rows, frames] to [batch, outputs]

`load` builds the module from the settings in the file and loads its parameters, every name of which must fit. The module takes the feature
recipe's arrays before normalisation with the training split's figures (it has these figures, where there are any), and gives targets in the
units of the training data, or the logarithms of odds that softmax makes probabilities of. `about` holds the run's id, the experiment file and the
interface: the recipe, the shapes, the names of the outputs. It is in evaluation mode; `module.train()` makes it learn on.

Needs torch, and safetensors for that kind of file.
"""

import json
import pathlib
import sys
import tomllib
import zipfile

import torch
from torch import nn
from torch.nn import functional as f

ACTIVATIONS = {
    "relu": f.relu,
    "leaky-relu": lambda x: f.leaky_relu(x, 0.01),
    "gelu": f.gelu,
    "gelu-tanh": lambda x: f.gelu(x, approximate="tanh"),
    "elu": f.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    None: lambda x: x,
}


def pair(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def sequence(x):
    """[batch, channels, rows, frames] to [batch, frames, channels · rows]."""
    return x.flatten(1, 2).transpose(1, 2) if x.dim() == 4 else x


class Conv(nn.Conv2d):
    """Convolution, then norm, activation, pooling and dropout where they are asked for."""

    def __init__(self, channels, spec):
        kernel, dilation, padding = pair(spec.get("kernel", 3)), pair(spec.get("dilation", 1)), spec.get("padding", "same")
        if padding == "same":
            padding = tuple(d * (k // 2) for d, k in zip(dilation, kernel))
        norm = spec.get("batch_norm", False)
        super().__init__(
            channels,
            spec["channels"],
            kernel,
            stride=pair(spec.get("stride", 1)),
            padding=0 if padding == "valid" else pair(padding),
            dilation=dilation,
            groups=spec.get("groups", 1),
            bias=spec.get("bias", not norm),
        )
        if norm:
            self.norm = nn.BatchNorm2d(spec["channels"])
        self.spec = spec

    def forward(self, x):
        x = super().forward(x)
        if "norm" in self._modules:
            x = self.norm(x)
        x = ACTIVATIONS[self.spec.get("activation")](x)
        if "max_pool" in self.spec:
            x = f.max_pool2d(x, pair(self.spec["max_pool"]))
        return f.dropout(x, self.spec.get("dropout", 0.0), self.training)


class Residual(nn.Module):
    def __init__(self, channels, spec):
        super().__init__()
        rows, columns = pair(spec.get("kernel", 3))
        stride = spec.get("stride", 1)
        conv = {"channels": spec["channels"], "kernel": [rows, columns], "padding": [rows // 2, columns // 2], "batch_norm": True}
        self.activation = ACTIVATIONS[spec.get("activation", "relu")]
        self.dropout = spec.get("dropout", 0.0)
        self.first = Conv(channels, conv | {"stride": stride})
        self.second = Conv(spec["channels"], conv)
        if channels != spec["channels"] or pair(stride) != (1, 1):
            self.around = Conv(channels, conv | {"stride": stride, "kernel": 1, "padding": 0})

    def forward(self, x):
        y = f.dropout(self.activation(self.first(x)), self.dropout, self.training)
        around = self.around(x) if "around" in self._modules else x
        return self.activation(self.second(y) + around)


class Norm(nn.BatchNorm1d):
    """Over the channels of an image, or each number of a frame or vector."""

    def __init__(self, shape, spec):
        size = shape[0] if len(shape) == 3 else shape[-1]
        super().__init__(size, eps=spec.get("epsilon", 1e-5), momentum=spec.get("momentum", 0.1))

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2) if x.dim() == 3 else super().forward(x)


class Pool(nn.Module):
    def __init__(self, function, spec):
        super().__init__()
        table = spec if isinstance(spec, dict) else {"window": spec}
        self.function, self.window = function, pair(table["window"])
        self.stride, self.padding = pair(table.get("stride", self.window)), pair(table.get("padding", 0))

    def forward(self, x):
        return self.function(x, self.window, self.stride, self.padding)


class Figures(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.statistics, self.over = spec.get("statistics", ["mean", "deviation"]), spec.get("over", "image")

    def forward(self, x):
        if x.dim() == 4:
            x = x.flatten(2) if self.over == "image" else x.flatten(1, 2)
        else:
            x = x.transpose(1, 2)
        of = {"mean": lambda: x.mean(2), "deviation": lambda: (x.var(2, unbiased=False) + 1e-5).sqrt()}
        return torch.cat([of[name]() for name in self.statistics], 1)


class Linear(nn.Linear):
    def __init__(self, shape, spec, outputs):
        self.table = spec if isinstance(spec, dict) else {"units": spec}
        self.per_frame = self.table.get("per_frame", False)
        units = outputs if self.table["units"] == "targets" else self.table["units"]
        per_frame_inputs = shape[0] * shape[1] if len(shape) == 3 else shape[-1]
        inputs = per_frame_inputs if self.per_frame else int(torch.tensor(shape).prod())
        super().__init__(inputs, units)

    def forward(self, x):
        x = super().forward(sequence(x) if self.per_frame else x.flatten(1))
        x = ACTIVATIONS[self.table.get("activation")](x)
        return f.dropout(x, self.table.get("dropout", 0.0), self.training)


class Gru(nn.GRU):
    def __init__(self, shape, spec):
        self.last = spec.get("output", "sequence") == "last"
        super().__init__(
            shape[0] * shape[1] if len(shape) == 3 else shape[-1],
            spec["units"],
            num_layers=spec.get("layers", 1),
            bidirectional=spec.get("bidirectional", False),
            dropout=spec.get("dropout", 0.0),
            batch_first=True,
        )

    def forward(self, x):
        states, ends = super().forward(sequence(x))
        return torch.cat(list(ends[-(2 if self.bidirectional else 1) :]), 1) if self.last else states


class Attention(nn.Linear):
    def __init__(self, shape, spec):
        units = spec.get("units", 64)
        super().__init__(shape[0] * shape[1] if len(shape) == 3 else shape[-1], units)
        self.query = nn.Parameter(torch.zeros(1, units))

    def forward(self, x):
        x = sequence(x)
        weights = torch.softmax(torch.tanh(super().forward(x)) @ self.query.T, 1)
        return (weights * x).sum(1)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def layer(kind, spec, shape, outputs):
    """One layer, for inputs of `shape` (without the batch)."""
    match kind:
        case "conv2d":
            return Conv(shape[0], spec)
        case "residual":
            return Residual(shape[0], spec)
        case "batch_norm":
            return Norm(shape, spec)
        case "layer_norm":
            over = shape if spec.get("over", "example") == "example" else shape[-1:]
            return nn.LayerNorm(over, eps=spec.get("epsilon", 1e-5))
        case "leaky_relu":
            return nn.LeakyReLU(spec.get("slope", 0.01))
        case "gelu":
            return nn.GELU(approximate="tanh" if spec.get("form") == "tanh" else "none")
        case "elu":
            return nn.ELU(spec.get("alpha", 1.0))
        case "relu" | "tanh" | "sigmoid":
            return Function(ACTIVATIONS[kind])
        case "max_pool2d":
            return Pool(f.max_pool2d, spec)
        case "avg_pool2d":
            return Pool(f.avg_pool2d, spec)
        case "adaptive_avg_pool2d":
            return nn.AdaptiveAvgPool2d(pair(spec))
        case "adaptive_max_pool2d":
            return nn.AdaptiveMaxPool2d(pair(spec))
        case "global_pool":
            return Figures(spec)
        case "flatten":
            return nn.Flatten()
        case "dropout":
            return nn.Dropout(spec)
        case "linear":
            return Linear(shape, spec, outputs)
        case "gru":
            return Gru(shape, spec)
        case "attention_pool":
            return Attention(shape, spec)
    raise ValueError(f"unknown layer {kind}")


class Normalization(nn.Module):
    """With the training split's figures, `[channels · rows]`."""

    def __init__(self, shape):
        super().__init__()
        self.shape = (shape[0], shape[1], 1)
        self.register_buffer("mean", torch.zeros(shape[0] * shape[1]))
        self.register_buffer("deviation", torch.ones(shape[0] * shape[1]))

    def forward(self, x):
        return (x - self.mean.view(self.shape)) / self.deviation.view(self.shape)


class Network(nn.Module):
    def __init__(self, layers, shape, outputs, normalized):
        super().__init__()
        if normalized:
            self.features = Normalization(shape)
        self.layers = nn.ModuleList()
        x = torch.zeros(2, *shape)
        for entry in layers:
            ((kind, spec),) = entry.items()
            self.layers.append(layer(kind, spec, list(x.shape[1:]), outputs).eval())
            with torch.no_grad():
                x = self.layers[-1](x)

    def forward(self, x):
        if "features" in self._modules:
            x = self.features(x)
        for module in self.layers:
            x = module(x)
        return x


def read(path):
    """Parameters by name, and what is said about them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            about = archive.read("state/extra/affect.json")
        return torch.load(path, weights_only=True), json.loads(about)
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["affect"])


def load(path):
    state, about = read(path)
    interface = about["interface"]
    output = interface["output"]
    outputs = len(output.get("targets") or output["classes"])
    layers = tomllib.loads(about["settings"])["model"]["layers"]
    module = Network(layers, interface["shape"], outputs, "features.mean" in state)
    module.load_state_dict(state)
    return module.eval(), about


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    module, about = load(pathlib.Path(sys.argv[1]))
    print(module)
    print(about["interface"]["output"], "of zeros:")
    with torch.no_grad():
        print(module(torch.zeros(1, *about["interface"]["shape"])))
