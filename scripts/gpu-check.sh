#!/usr/bin/env bash
# Everything that needs a real GPU, in a few minutes and without network or Rust: operators, losses and optimisers against the CPU's,
# recorded steps against steps launched one by one, 200 steps of each preset, whole runs and their resumption to the bit, two at once, then the
# speed beside PyTorch's.
#
#     scripts/gpu-check.sh BINARIES [LOG_FOLDER]
#
# BINARIES holds the programs `affect`, `cuda_operators`, `cuda_steps` and `steps`, made by `scripts/gpu-check.sh --build BINARIES` where Rust and the
# toolkit are (scripts/cuda-toolchain.sh). NVIDIA's libraries must be found: see `affect doctor`. The last step needs a `python3` with
# PyTorch for CUDA and is left out, with a word, where there is none.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --build ]; then
    set -e
    out=${2:?where to put the programs}
    mkdir -p "$out"
    built() { cargo build --locked --release --features cuda --message-format=json "$@" | grep -o '"executable":"[^"]*"' | cut -d '"' -f 4; }
    built --bin affect --test cuda_operators --test cuda_steps --bench steps | while read -r path; do
        name=$(basename "$path")
        cp "$path" "$out/${name%%-*}"
    done
    strip "$out"/*
    ls -l "$out"
    exit
fi

binaries=$(cd "${1:?the folder of the programs}" && pwd)
logs=${2:-$(mktemp -d)}
mkdir -p "$logs"
affect=$binaries/affect
failed=()
begun=$(date +%s)

# Runs a check, shows its end and keeps all of it.
check() {
    local name=$1 start
    shift
    start=$(date +%s)
    printf '\n=== %s\n' "$name"
    if "$@" >"$logs/${name// /-}.log" 2>&1; then
        tail -n "${lines:-3}" "$logs/${name// /-}.log"
        printf 'passed: %s (%s s)\n' "$name" $(($(date +%s) - start))
    else
        tail -n 40 "$logs/${name// /-}.log"
        printf 'FAILED: %s (%s s)\n' "$name" $(($(date +%s) - start))
        failed+=("$name")
    fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AFFECT_CACHE=$work/cache AFFECT_NEEDS_GPU=1 AFFECT_STEPS=${AFFECT_STEPS:-200}

model() { find "$work/$1" -path '*checkpoints/last/model.safetensors' -exec sha256sum {} + | cut -d ' ' -f 1; }
predictions() { find "$work/$1" -name predictions.csv -exec sha256sum {} + | cut -d ' ' -f 1; }
# What `affect` is called with: folder of the runs, device, further settings. AFFECT_CHECK_EPOCHS makes it shorter, as on the emulator.
arguments_of_quickstart() {
    arguments=(run quickstart --device "${2:-cuda}" --runs "$work/$1" --set train.checkpoint_minutes=0.0)
    [ -z "${AFFECT_CHECK_EPOCHS:-}" ] || arguments+=(--set "train.epochs=$AFFECT_CHECK_EPOCHS")
    arguments+=("${@:3}")
}
quickstart() {
    arguments_of_quickstart "$@"
    "$affect" "${arguments[@]}"
}
same() { [ -n "$(model "$1")" ] && [ "$(model "$1")" = "$(model "$2")" ] && [ "$(predictions "$1")" = "$(predictions "$2")" ]; }

# A run that is killed as soon as there is a checkpoint.
cut_off() {
    local run
    arguments_of_quickstart "$1"
    "$affect" "${arguments[@]}" &
    run=$!
    while kill -0 $run 2>/dev/null && [ -z "$(find "$work/$1" -path '*last/manifest.json' 2>/dev/null)" ]; do sleep 0.05; done
    kill -9 $run 2>/dev/null || echo "the run was over before it could be cut off"
    wait $run 2>/dev/null
}

resumed() {
    quickstart whole && quickstart again && same whole again || return 1
    echo "two runs gave the same bits"
    cut_off cut
    "$affect" resume latest --runs "$work/cut" || return 1
    same whole cut && echo "the resumed run gave the same bits"
}

# Launches one by one, as a graph, and the faster of the two are the same on the GPU.
recorded() {
    quickstart one-by-one cuda --set train.cuda_graph=off && quickstart graph cuda --set train.cuda_graph=on || return 1
    same whole one-by-one && same whole graph && echo "steps one by one, steps as a graph and the faster of them gave the same bits"
    grep -h -o '"launches":"[^"]*"' "$work"/whole/quickstart/*/log.jsonl
    quickstart measured cuda --set train.deterministic=false --set train.precision=bf16 --set train.cuda_graph=on
}

side_by_side() {
    local gpus second=cuda:0
    gpus=$("$affect" doctor --json | grep -c compute_capability)
    [ "$gpus" -gt 1 ] && second=cuda:1
    quickstart one "$second" & quickstart two cuda:0 & wait -n && wait -n || return 1
    same one two && same one whole && echo "runs on cuda:0 and $second at once gave the bits of one alone"
}

moved() {
    cut_off moved
    "$affect" resume latest --device cpu --runs "$work/moved" || return 1
    "$affect" export latest --runs "$work/moved" --onnx "$work/model.onnx" && echo "begun on the GPU, ended on the CPU"
}

lines=30 check "doctor" "$affect" doctor
check "operators" "$binaries/cuda_operators" --test-threads=1
check "steps" "$binaries/cuda_steps" --test-threads=1 --skip presets
check "precisions" "$binaries/cuda_steps" --test-threads=1 --ignored
check "presets" "$binaries/cuda_steps" --test-threads=1 --exact presets_train_as_on_the_cpu --nocapture
check "resume" resumed
lines=6 check "recorded" recorded
check "side by side" side_by_side
check "from device to device" moved
if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    rounds=${AFFECT_ROUNDS:-3}
    lines=200 check "speed" python3 scripts/compare_torch_gpu.py --affect "$binaries/steps" --rounds "$rounds"
else
    printf '\n=== speed\nleft out: python3 has no PyTorch with CUDA\n'
fi

printf '\n%s s in all; the logs are in %s\n' $(($(date +%s) - begun)) "$logs"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[*]}"
    exit 1
fi
echo "every check passed"
