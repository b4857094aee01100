"""Rows a second: affect's records beside MLflow's SQLite store, in turn, on this machine.

    pip install mlflow==3.*        # in a virtual environment of its own
    python scripts/compare_mlflow.py [--rounds 3] [--profile bench]

Both record values in batches of 25, as a training loop would, until all of them are in the files: affect 50,000 values to its log,
TensorBoard and SQLite (`cargo bench --bench records`), MLflow to a new SQLite store 5,000 with `log_batch` (its fastest) and 250 with
`log_metric`, one by one. Fewer, because it takes longer; rows a second are compared. The rounds alternate. Wanted beforehand:
`cargo bench --bench records --no-run`, with the same profile.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

BATCH = 25


def mlflow_rows(moments, one_by_one):
    with tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.sqlite")
        run = client.create_run(client.create_experiment("bench")).info.run_id
        begin = time.perf_counter()
        for moment in range(1, moments + 1):
            now = int(time.time() * 1000)
            if one_by_one:
                for value in range(BATCH):
                    client.log_metric(run, f"metric-{value:02}", 1 / moment, now, moment)
            else:
                values = [Metric(f"metric-{value:02}", 1 / moment, now, moment) for value in range(BATCH)]
                client.log_batch(run, metrics=values)
        client.set_terminated(run)
        return moments * BATCH / (time.perf_counter() - begin)


def affect_rows(profile):
    command = ["cargo", "bench", "--quiet", "--bench", "records", "--profile", profile]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r": (\d+) rows a second", output)[1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", default=3, type=int)
    arguments.add_argument("--profile", default="bench", help="cargo's profile")
    given = arguments.parse_args()
    affect_rows(given.profile)  # builds
    figures = {"affect": [], "MLflow, log_batch": [], "MLflow, log_metric": []}
    for _ in range(given.rounds):
        figures["affect"].append(affect_rows(given.profile))
        figures["MLflow, log_batch"].append(mlflow_rows(200, one_by_one=False))
        figures["MLflow, log_metric"].append(mlflow_rows(10, one_by_one=True))
    print(f"rows a second, median of {given.rounds} (MLflow {mlflow.__version__})")
    ours = statistics.median(figures["affect"])
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{median:10.0f}  {ours / median:6.1f} x  {name}  (from {min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
