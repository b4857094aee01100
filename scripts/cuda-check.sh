#!/usr/bin/env bash
# What a change must pass with the feature `cuda`, as far as it can be seen without a GPU: it compiles without warnings, the
# program links and starts without NVIDIA's libraries, and says which are missing; on an emulator of a GPU (tests/cuda_emulator) the
# operators, the optimisers and whole runs give what they give on the CPU.
#
#     scripts/cuda-check.sh [--compile-only] [FOLDER]
#
# --compile-only ends after clippy. FOLDER (default: target/cuda-toolchain) keeps the CUDA toolkit between calls; cargo's folder is the usual one
# (CARGO_TARGET_DIR). On two cores of a shared machine: the toolkit 1.5 minutes, Candle's kernels 22 seconds, all crates of a
# first build 11 minutes, clippy after it 2 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0

# Integration tests that need no GPU. Those of the library run besides, except where a name contains `on_gpu`.
tests=(cuda_libraries cli_check)

step() { printf '\n=== %s (%s)\n' "$1" "$(date -u +%H:%M:%S)"; }

compile_only=
if [ "${1:-}" = --compile-only ]; then
    compile_only=yes
    shift
fi
toolchain=${1:-target/cuda-toolchain}
step "toolchain"
scripts/cuda-toolchain.sh "$toolchain" --skip-unused-kernels
# shellcheck disable=SC1091
. "$toolchain/env.sh"
# NVIDIA's libraries take part only where a test says so.
unset AFFECT_CUDA_LIBRARIES

step "clippy"
cargo clippy --locked --all-targets --features cuda -- -D warnings

if [ -n "$compile_only" ]; then
    step "done"
    exit
fi

step "tests"
cargo test --locked --features cuda --lib -- cuda --skip on_gpu
cargo test --locked --features cuda "${tests[@]/#/--test=}"

step "emulator"
scripts/cuda-emulator.sh "$toolchain/emulator" src/nn/kernels/cuda/source/*.cu
emulator=$(cd "$toolchain/emulator" && pwd)
# One test after the other: the emulator takes all cores itself. Memory ends at pages that nobody may touch.
AFFECT_CUDA_LIBRARIES=$emulator AFFECT_NEEDS_GPU=1 AFFECT_EMULATOR_GUARD=1 \
    cargo test --locked --features cuda --test cuda_operators -- --include-ignored --test-threads=1
AFFECT_CUDA_LIBRARIES=$emulator AFFECT_NEEDS_GPU=1 cargo test --locked --features cuda --test cuda_runs -- --test-threads=1

step "done"
