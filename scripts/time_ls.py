"""How long `affect ls` takes over many runs.

    python scripts/time_ls.py [--affect target/release/affect] [--runs 10000] [--keep DIR]

Makes an index of runs as a search over settings would leave them (60 settings, two splits of three figures for two targets and
their mean, 30 epochs of six values), then times the command, the best and the median of seven. Needs nothing but Python.
"""

import argparse
import pathlib
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time

COMMANDS = [
    ["ls"],
    ["ls", "--limit", "20"],
    ["ls", "--json"],
    ["ls", "--where", "optimizer.learning_rate < 1e-3", "--where", "test/rmse < 0.3"],
    ["ls", "--sort", "test/rmse", "--limit", "20"],
    ["ls", "--columns", "experiment,optimizer.learning_rate,test/rmse,val/loss", "--csv"],
    ["ls", "--where", "optimizer.learning_rat < 1"],
]


def fill(path, runs):
    draw = random.Random(1)
    database = sqlite3.connect(path)
    database.execute("PRAGMA foreign_keys = ON")
    config = "# an experiment\n" * 150
    for number in range(runs):
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + 600 * number))
        run = time.strftime("%Y%m%d-%H%M%S-", time.gmtime(1_700_000_000 + 600 * number)) + f"k{number:03x}"[-4:]
        database.execute(
            "INSERT INTO runs (id, experiment, status, seed, device, created_at, started_at, finished_at, heartbeat_at, pid,"
            " host, config_toml, config_hash, data_fingerprint, feature_key, parent_id, epoch)"
            " VALUES (?, ?, ?, ?, 'cpu', ?, ?, ?, ?, 1, 'here', ?, 'c', 'd', 'f', ?, 30)",
            (run, f"experiment-{number % 12}", draw.choice(["completed", "stopped-early", "failed"]), number,
             when + ".000Z", when + ".000Z", when + ".900Z", when + ".900Z", config,
             previous if number % 10 and number > 5000 else None),
        )
        if not (number % 10 and number > 5000):
            previous = run
        settings = [("optimizer.learning_rate", 10 ** draw.uniform(-5, -1)), ("loss.kind", "mse")]
        settings += [(f"model.layers.{index}.conv2d.channels", index) for index in range(58)]
        database.executemany("INSERT INTO params VALUES (?, ?, ?)", [(run, *setting) for setting in settings])
        figures = [
            (run, split, name, target, draw.random(), 0.1, 0.9)
            for split in ["val", "test"] for name in ["rmse", "mae", "ccc"] for target in ["", "valence", "arousal"]
        ]
        database.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", figures)
        values = [
            (run, split, name, epoch, 100 * epoch, draw.random(), 1.7e9)
            for epoch in range(1, 31) for split in ["train", "val"] for name in ["loss", "mae", "ccc"]
        ]
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        database.execute("INSERT INTO tags VALUES (?, ?)", (run, f"tag-{number % 5}"))
    database.commit()
    database.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--affect", default="target/release/affect", type=pathlib.Path)
    arguments.add_argument("--runs", default=10_000, type=int)
    arguments.add_argument("--keep", type=pathlib.Path, help="make the index here and keep it")
    given = arguments.parse_args()
    affect = str(given.affect.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / "affect.sqlite"
        if not index.exists():
            subprocess.run([affect, "ls", "--rebuild", "--runs", str(folder)], check=True, capture_output=True)
            fill(index, given.runs)
        print(f"{given.runs} runs, {index.stat().st_size / 1e6:.0f} MB")
        for command in COMMANDS:
            times = []
            for _ in range(7):
                begin = time.perf_counter()
                output = subprocess.run([affect, *command, "--runs", str(folder)], capture_output=True, check=False)
                times.append(time.perf_counter() - begin)
            lines = len(output.stdout.splitlines())
            print(f"{min(times):6.3f} s  {statistics.median(times):6.3f} s  affect {' '.join(command)}  ({lines} lines)")


if __name__ == "__main__":
    main()
