"""Whole training steps on a GPU beside PyTorch's: milliseconds, memory, utilisation and losses of four networks.

    python scripts/compare_torch_gpu.py --affect PATH/TO/steps [--batch 32 --batch 256] [--rounds 5] [--steps 40] [--case NAME]...

`steps` is the benchmark of that name, built with the feature `cuda`. Each program is a process of its own that waits while another works;
in every round each runs so many steps in turn, the order rotated, and waits for the GPU at their end only. All begin with the
parameters, inputs and targets that affect wrote; the losses of the first ten steps are compared before the clock runs.

    affect              float32, deterministic algorithms, each step as a CUDA graph
    affect, one by one  the same, `cuda_graph = "off"`
    affect, measured    float32, `deterministic = false`: beside the first, what being deterministic costs
    affect, tf32        `precision = "tf32"`, `deterministic = false`
    affect, bf16        `precision = "bf16"`, `deterministic = false`
    eager               PyTorch as people run it, in float32 (TF32 off in convolutions too)
    benchmark           with cuDNN's benchmark and channels-last, in float32
    benchmark, tf32     the same with TF32
    compiled            torch.compile with mode="reduce-overhead" (CUDA graphs), cuDNN's benchmark and channels-last, in float32
    compiled, tf32      the same with TF32

Reported: the median over the rounds and the ratio of each to the first; what nvidia-smi says that the process holds, and the
utilisation of the GPU while it runs.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from compare_torch_steps import CASES, start

AFFECT = {
    "affect": ["cuda_graph=on"],
    "affect, one by one": ["cuda_graph=off"],
    "affect, measured": ["cuda_graph=on", "deterministic=false"],
    "affect, tf32": ["cuda_graph=on", "precision=tf32", "deterministic=false"],
    "affect, bf16": ["cuda_graph=on", "precision=bf16", "deterministic=false"],
}
TORCH = ["eager", "benchmark", "benchmark, tf32", "compiled", "compiled, tf32"]


def work(name, mode, folder, rate):
    """Answers on standard output as benches/steps.rs does."""
    import torch

    exact = "tf32" not in mode
    torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cuda.matmul.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = mode != "eager"
    model, x, y = start(name, folder)
    model, x, y = model.cuda(), x.cuda(), y.cuda()
    if mode != "eager":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    forward = torch.compile(model, mode="reduce-overhead") if mode.startswith("compiled") else model
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    loss_of = torch.nn.CrossEntropyLoss()
    for line in sys.stdin:
        losses, count = [], int(line)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad()
            loss = loss_of(forward(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach().clone())
        torch.cuda.synchronize()
        each = (time.perf_counter() - begin) * 1e3 / count
        print(json.dumps({"losses": [loss.item() for loss in losses], "ms": [each] * count, "peak_kb": 0}), flush=True)


def smi(*query):
    command = ["nvidia-smi", *query, "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True)
    return [line.split(", ") for line in said.stdout.splitlines()] if said.returncode == 0 else []


class Program:
    def __init__(self, label, command):
        self.label, self.rounds = label, []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.label} ended: see above")
        return json.loads(line)

    def timed(self, steps):
        self.rounds.append(self.run(steps)["ms"][0])

    def memory(self):
        used = [int(row[1]) for row in smi("--query-compute-apps=pid,used_memory") if row[0] == str(self.process.pid)]
        return used[0] if used else None

    def utilisation(self, milliseconds):
        """While steps run for so long, about."""
        samples, done = [], threading.Event()

        def sample():
            while not done.wait(0.1):
                rows = smi("--query-gpu=utilization.gpu")
                if rows:
                    samples.append(int(rows[0][0]))

        thread = threading.Thread(target=sample)
        thread.start()
        self.run(max(1, round(milliseconds / self.rounds[-1])))
        done.set()
        thread.join()
        return statistics.median(samples[2:]) if len(samples) > 3 else None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(case, batch, arguments):
    rate = str(arguments.learning_rate)
    with tempfile.TemporaryDirectory() as folder:
        programs, losses = [], None
        for label, words in AFFECT.items():
            command = [str(arguments.affect), case, folder, rate, "device=cuda", f"batch={batch}", *words]
            programs.append(Program(label, command))
            said = programs[-1].run(10)["losses"]
            losses = losses or said
            worst = max(abs(a - b) / abs(b) for a, b in zip(said, losses))
            print(f"{case}, batch {batch}: losses of ten steps, {label} against affect: {worst:.1e} relative", flush=True)
        for mode in TORCH:
            command = [sys.executable, __file__, "--work", case, "--folder", folder, "--mode", mode, "--learning-rate", rate]
            programs.append(Program(mode, command))
            said = programs[-1].run(10)["losses"]
            worst = max(abs(a - b) / abs(b) for a, b in zip(said, losses))
            print(f"{case}, batch {batch}: losses of ten steps, {mode} against affect: {worst:.1e} relative", flush=True)
        for turn in range(arguments.rounds):
            for index in range(len(programs)):
                programs[(index + turn) % len(programs)].timed(arguments.steps)
        base = programs[0].rounds
        print(f"| {case}, batch {batch} | ms | affect is faster by | memory, MiB | GPU busy, % |\n| --- | --- | --- | --- | --- |")
        for program in programs:
            ratios = [a / b for a, b in zip(program.rounds, base)]
            median = statistics.median(program.rounds)
            busy = program.utilisation(700)
            row = [program.label, f"{median:.3f}", f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})", program.memory(), busy]
            print("| " + " | ".join("?" if cell is None else str(cell) for cell in row) + " |", flush=True)
        print(flush=True)
        for program in programs:
            program.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--affect", type=pathlib.Path, help="the benchmark `steps`")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="in each round")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--work", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=TORCH, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work, arguments.mode, arguments.folder, arguments.learning_rate)
    for case in arguments.case or CASES:
        for batch in arguments.batch or [32, 256]:
            compare(case, batch, arguments)


if __name__ == "__main__":
    main()
