#!/usr/bin/env python3
"""Does the memory of training stay flat over epochs? Linux only.

    scripts/training_memory.py PROGRAM [EPOCHS [AFFECT-RUN-ARGUMENTS ...]]

Runs `PROGRAM run quickstart` for 50 epochs in a folder of its own, reads the process's resident memory (VmRSS) and its peak (VmHWM) from
/proc at the end of every epoch, and prints them in MB. What is resident goes up and down with what
the allocator gives back; the peak is what counts. Fails where the peak after the last epoch is more than 5 % above that after the fifth.
"""
import os
import re
import subprocess
import sys
import tempfile

program = os.path.abspath(sys.argv[1])
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 50
quickstart = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "experiments", "quickstart.toml")

with tempfile.TemporaryDirectory() as folder:
    command = [program, "run", os.path.abspath(quickstart), "--set", f"train.epochs={epochs}"]
    command += ["--set", f"train.early_stopping.patience={epochs}", *sys.argv[3:]]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    figures = []
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.match(rf" *(\d+)/{epochs} ", line)
        if not found:
            continue
        with open(f"/proc/{process.pid}/status") as status:
            memory = {key: int(value.split()[0]) / 1000 for key, value in (row.split(":", 1) for row in status) if key in ("VmRSS", "VmHWM")}
        figures.append((int(found[1]), memory["VmRSS"], memory["VmHWM"]))
    if process.wait() != 0:
        sys.exit("".join(lines))

print("epoch  VmRSS MB  VmHWM MB")
for epoch, resident, peak in figures:
    print(f"{epoch:5}  {resident:8.1f}  {peak:8.1f}")
if len(figures) != epochs:
    sys.exit(f"{len(figures)} of {epochs} epochs were seen")
after_five, after_all = figures[min(4, len(figures) - 1)], figures[-1]
growth = after_all[2] / after_five[2] - 1
print(f"peak from epoch {after_five[0]} to {after_all[0]}: {100 * growth:+.1f} %")
if growth > 0.05:
    sys.exit("memory grows")
