#!/usr/bin/env python3
"""Checks what the quickstart promises, from its record alone.

The test MSE over the mean baseline's is at most 0.557 (the ratio that student projects report on DEAM: 0.0367 / 0.0659), and the
network beats ridge regression on pooled features. Usage: check_quickstart.py RUNS
"""

import sqlite3
import sys
from pathlib import Path

LARGEST_RATIO = 0.557
FILES = [
    "experiment.toml",
    "provenance.json",
    "predictions.csv",
    "report.html",
    "log.jsonl",
    "checkpoints/best/model.safetensors",
    "checkpoints/last/state.json",
    "plots/loss.svg",
    "plots/loss.png",
]


def main(runs: Path) -> None:
    database = sqlite3.connect(runs / "affect.sqlite")
    run, experiment, status = database.execute(
        "select id, experiment, status from runs where experiment = 'quickstart' order by created_at desc limit 1"
    ).fetchone()
    assert status in ("completed", "stopped-early"), status
    missing = [name for name in FILES if not (runs / experiment / run / name).exists()]
    assert not missing, f"missing in the run's folder: {missing}"

    where = "where run_id = ? and split = 'test' and name = 'mse' and target = ''"
    (model,) = database.execute(f"select value from results {where}", [run]).fetchone()
    baselines = dict(database.execute(f"select baseline, value from baselines {where}", [run]))
    ratio = model / baselines["mean"]
    print(f"test MSE {model:.4f}: {ratio:.3f} of the mean baseline's, ridge has {baselines['ridge'] / baselines['mean']:.3f}")
    assert ratio <= LARGEST_RATIO, f"the ratio is above {LARGEST_RATIO}"
    assert model < baselines["ridge"], "ridge regression is better than the network"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
