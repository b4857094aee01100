#!/usr/bin/env bash
# The tests of the kernels under valgrind: finds reads and writes outside of what was allocated, and the use of values that nobody wrote.
# Takes some minutes. Needs valgrind (apt-get install valgrind) on x86-64 Linux.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --error-exitcode=1 --fair-sched=yes"
# Finite differences run the plain code only, and thousands of times.
cargo test --lib nn::kernels -- --skip finite_differences "$@"
