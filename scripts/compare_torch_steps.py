"""Whole training steps beside PyTorch's: milliseconds, memory and losses of four networks.

    cargo build --release --bench steps
    python scripts/compare_torch_steps.py --affect target/release/deps/steps-HASH [--threads 2] [--rounds 7] [--steps 5] [--case NAME]...

Each program is a process of its own that waits while another works; in every round each runs so many steps in turn, the order
rotated. All begin with the parameters, inputs and targets that affect wrote; the losses of the first ten steps are compared before the
clock runs. Reported: the median over all steps, the ratio to affect, its least and greatest over the rounds, the greatest memory.

    eager     as people run it: NCHW, the system's allocator
    tuned     the same with MALLOC_* set so that large temporaries are kept
    best      channels-last, torch.compile, MALLOC_* set (needs g++)
    candle    not PyTorch: Candle's own operators, candle-nn's layers and AdamW, from parameters of its own (its losses are not compared)

Needs the packages of scripts/reference/requirements-torch.txt.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "536870912"}
CASES = ["blocks-16-32", "blocks-32-64-128", "meld-cnn", "crnn"]


def network(name):
    from torch import nn

    def block(inputs, channels):
        return [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]

    def blocks(*channels):
        layers = [layer for inputs, outputs in zip((1, *channels), channels) for layer in block(inputs, outputs)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 4))

    class Crnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.frame = nn.Linear(8 * 64, 8)
            self.gru = nn.GRU(8, 8, batch_first=True, bidirectional=True)
            self.last = nn.Linear(16, 4)

        def forward(self, x):
            x = self.block(x).flatten(1, 2).transpose(1, 2)
            return self.last(self.gru(self.frame(x))[0].mean(1))

    match name:
        case "blocks-16-32":
            return blocks(16, 32)
        case "blocks-32-64-128":
            return blocks(32, 64, 128)
        case "meld-cnn":
            layers = []
            for inputs, channels in [(1, 32), (32, 64), (64, 128), (128, 256)]:
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(channels), nn.MaxPool2d(2)]
            layers += [nn.Flatten(), nn.Linear(256 * 64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 7)]
            return nn.Sequential(*layers)
        case "crnn":
            return Crnn()


def tensors_of(file):
    """What a safetensors file holds."""
    import torch

    content = bytearray(file.read_bytes())
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "U32": torch.uint32}
    return {
        name: torch.frombuffer(content, dtype=types[entry["dtype"]], count=math.prod(entry["shape"]), offset=8 + length + entry["data_offsets"][0])
        .reshape(entry["shape"])
        .clone()
        for name, entry in header.items()
    }


def start(name, folder):
    """The network with the parameters that affect wrote, its input and target."""
    import torch

    tensors = tensors_of(folder / "start.safetensors")
    x, y = tensors.pop("input"), tensors.pop("target").to(torch.int64)
    model = network(name)
    # By the numbers of affect's layers: the order of the parameters is the same, by kind within a layer.
    def key(parameter):
        _, index, *rest = parameter.split(".")
        return int(index), "norm" in rest, "bias" in rest, parameter
    names = sorted(tensors, key=key)
    if name == "crnn":
        gru = [n for n in names if "_ih" in n or "_hh" in n]
        assert len(gru) == 8, names
        wanted = [n for n, _ in model.gru.named_parameters()]
        by_suffix = {n.split(".", 2)[-1].split(".")[-1]: n for n in gru}
        ordered = [by_suffix[n] for n in wanted]
        first = names.index(gru[0])
        names = [n for n in names if n not in gru]
        names[first:first] = ordered
    parameters = list(model.parameters())
    assert [tuple(tensors[n].shape) for n in names] == [tuple(p.shape) for p in parameters], names
    with torch.no_grad():
        for parameter, n in zip(parameters, names):
            parameter.copy_(tensors[n])
    return model.train(), x, y


def work(name, mode, folder, threads, rate):
    """Answers on standard output as benches/steps.rs does."""
    import torch

    torch.set_num_threads(threads)
    model, x, y = start(name, folder)
    if mode == "best":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        forward = torch.compile(model)
    else:
        forward = model
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    loss_of = torch.nn.CrossEntropyLoss()
    for line in sys.stdin:
        losses, times = [], []
        for _ in range(int(line)):
            begin = time.perf_counter()
            optimizer.zero_grad()
            loss = loss_of(forward(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            times.append((time.perf_counter() - begin) * 1e3)
        peak = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
        print(json.dumps({"losses": losses, "ms": times, "peak_kb": peak}), flush=True)


class Program:
    def __init__(self, label, command, environment):
        self.label, self.times, self.rounds, self.peak = label, [], [], 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        self.peak = said["peak_kb"]
        return said

    def timed(self, steps):
        times = self.run(steps)["ms"]
        self.times += times
        self.rounds.append(statistics.median(times))


def compare(case, arguments):
    threads = str(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        programs = [Program("affect", [str(arguments.affect), case, folder, str(arguments.learning_rate)], {"RAYON_NUM_THREADS": threads})]
        losses = programs[0].run(10)["losses"]
        command = [sys.executable, __file__, "--work", case, "--folder", folder, "--threads", threads]
        command += ["--learning-rate", str(arguments.learning_rate), "--mode"]
        modes = {"eager": {}, "tuned": TUNED, "best": TUNED}
        for mode in arguments.mode or modes:
            if mode == "candle":
                stock = Program(mode, [str(arguments.affect), case, folder, "candle"], {"RAYON_NUM_THREADS": threads})
                stock.run(2)
                programs.append(stock)
                continue
            program = Program(mode, [*command, mode], {"OMP_NUM_THREADS": threads, **modes[mode]})
            other = program.run(10)["losses"]
            worst = max(abs(a - b) / abs(b) for a, b in zip(losses, other))
            print(f"{case}: losses of ten steps, affect against {mode}: {worst:.1e} relative", flush=True)
            if worst > 1e-4:
                print(f"  DIFFERENT: {losses} {other}")
            programs.append(program)
        for turn in range(arguments.rounds):
            for index in range(len(programs)):
                programs[(index + turn) % len(programs)].timed(arguments.steps)
        base = programs[0]
        print(f"| {case} | ms | affect is faster by | memory, MB |\n| --- | --- | --- | --- |")
        for program in programs:
            ratios = [a / b for a, b in zip(program.rounds, base.rounds)]
            median = statistics.median(program.times)
            ratio = median / statistics.median(base.times)
            print(f"| {program.label} | {median:.1f} | {ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {program.peak / 1024:.0f} |")
        print(flush=True)
        for program in programs:
            program.process.stdin.close()
            program.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--affect", type=pathlib.Path, help="the benchmark `steps`")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="in each round")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--work", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", action="append", choices=["eager", "tuned", "best", "candle"])
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="of AdamW; with 1e-4 the MELD case learns its batch by heart, and rounding grows")
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work, arguments.mode[0], arguments.folder, arguments.threads, arguments.learning_rate)
    for case in arguments.case or CASES:
        compare(case, arguments)


if __name__ == "__main__":
    main()
