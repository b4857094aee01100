#!/usr/bin/env bash
# What a change must pass with the feature `cuda`, as far as it can be seen without a GPU: it compiles without warnings, its kernels
# become machine code for all kinds of GPUs, the program links and starts without NVIDIA's libraries, and says which are missing; on
# an emulator of a GPU (tests/cuda_emulator) the operators, losses and optimisers, whole steps and whole runs give what they give on
# the CPU.
#
#     scripts/cuda-check.sh [--compile-only] [FOLDER]
#
# --compile-only ends after clippy and the documentation. FOLDER (default: target/cuda-toolchain) keeps the CUDA toolkit between calls; cargo's folder is the usual one
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

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --features cuda

if [ -n "$compile_only" ]; then
    step "done"
    exit
fi

step "machine code"
# What the driver does when it meets the kernels, from Turing to Blackwell.
out=$(find "${CARGO_TARGET_DIR:-target}/debug/build" -path '*affect-*/out/loss.ptx' -printf '%T@ %h\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
for kernels in "$out"/*.ptx; do
    for capability in 75 80 86 89 90 100 120; do
        "$CUDA_HOME/bin/ptxas" -arch="sm_$capability" -o /dev/null "$kernels"
    done
    basename "$kernels"
done

step "tests"
cargo test --locked --features cuda --lib -- cuda launches terms direct --skip on_gpu
cargo test --locked --features cuda "${tests[@]/#/--test=}"

step "emulator"
scripts/cuda-emulator.sh "$toolchain/emulator" src/nn/kernels/cuda/source/*.cu
emulator=$(cd "$toolchain/emulator" && pwd)
# One test after the other: the emulator takes all cores itself. Memory ends at pages that nobody may touch.
AFFECT_CUDA_LIBRARIES=$emulator AFFECT_NEEDS_GPU=1 AFFECT_EMULATOR_GUARD=1 \
    cargo test --locked --features cuda --test cuda_operators --test cuda_steps -- --include-ignored --test-threads=1
AFFECT_CUDA_LIBRARIES=$emulator AFFECT_NEEDS_GPU=1 cargo test --locked --features cuda --test cuda_runs -- --test-threads=1

step "done"
