#!/usr/bin/env bash
# Builds the stand-in for the CUDA libraries from tests/cuda_emulator.
#
#   scripts/cuda-emulator.sh OUT_DIR [MORE_CU_FILES...]
#
# It needs a C++17 compiler for Linux on x86-64 ($CXX, else g++ or c++), and no
# CUDA. The kernels are those of candle-kernels and of the files given. The
# sources of candle-kernels are found through `cargo metadata`, or are in the
# folder $CANDLE_KERNELS (the one with reduce.cu). Afterwards run the program
# with LD_LIBRARY_PATH=OUT_DIR.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '2,10p' "$0" >&2
    exit 2
fi

root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/tests/cuda_emulator
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
work=$out/build
mkdir -p "$work"

cxx=${CXX:-}
if [ -z "$cxx" ]; then
    cxx=$(command -v g++ || command -v c++ || true)
fi
if [ -z "$cxx" ]; then
    echo "cuda-emulator: no C++ compiler found" >&2
    exit 1
fi
jobs=${CUDA_EMULATOR_JOBS:-$(nproc)}

candle=${CANDLE_KERNELS:-}
if [ -z "$candle" ] && command -v cargo >/dev/null && [ -f "$root/Cargo.toml" ]; then
    manifest=$(cd "$root" && cargo metadata --format-version 1 --all-features --offline 2>/dev/null |
        grep -o '"manifest_path":"[^"]*candle-kernels-[^"]*"' | head -n 1 | cut -d '"' -f 4 || true)
    [ -z "$manifest" ] || candle=$(dirname "$manifest")/src
fi
if [ -z "$candle" ]; then
    for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-kernels-0.11.*/src; do
        [ ! -f "$folder/reduce.cu" ] || candle=$folder
    done
fi
if [ ! -f "$candle/reduce.cu" ]; then
    echo "cuda-emulator: the sources of candle-kernels have not been found: set CANDLE_KERNELS" >&2
    exit 1
fi

common=(-std=c++17 -fPIC -fvisibility=hidden -fcf-protection=none -ffp-contract=off -fno-math-errno -mtls-dialect=gnu2 -pthread "-I$source/include")
for_library=("${common[@]}" -O3 -Wall -Wextra "-I$source")
# Kernels read memory through pointers of other types.
for_kernels=("${common[@]}" -O2 -w -fno-strict-aliasing -fsanitize=alignment -fno-sanitize-recover=alignment -fno-exceptions -fno-rtti -include cuda_emulator_device.h)

# compile OBJECT SUM SOURCE FLAGS...: unless the object is of that sum.
compile() {
    local object=$1 sum=$2 file=$3
    shift 3
    if [ -f "$object" ] && [ "$(cat "$object.sum" 2>/dev/null)" = "$sum" ]; then
        return 0
    fi
    rm -f "$object.sum"
    "$cxx" "$@" -c "$file" -o "$object"
    echo "$sum" >"$object.sum"
}

compile_library() {
    local name=$1
    compile "$work/$name.o" "$library_sum" "$source/$name.cpp" "${for_library[@]}"
}

# Compiles one file of kernels, with a registration for each of them.
compile_kernels() {
    local number=$1 file=$2
    local folder name copy
    folder=$(cd "$(dirname "$file")" && pwd)
    name=$(basename "$file")
    copy=$work/kernels-$number
    rm -rf "$copy"
    mkdir -p "$copy"
    # `extern __shared__ T x[];` in a function becomes a pointer to the dynamic
    # shared memory.
    if grep -nE '^extern[[:space:]]+__shared__' "$file" >&2; then
        echo "cuda-emulator: $file: extern __shared__ outside of a function (or not indented) is not supported" >&2
        return 1
    fi
    local from
    for from in "$file" "$folder"/*.cuh "$folder"/*.h; do
        [ -f "$from" ] || continue
        sed -E 's/extern[[:space:]]+__shared__[[:space:]]+([^;]*[^;[:space:]])[[:space:]]+([A-Za-z_][A-Za-z_0-9]*)[[:space:]]*\[[[:space:]]*\][[:space:]]*;/\1 *\2 = reinterpret_cast<decltype(\2)>(::cuda_emulator::dynamic_shared());/' \
            "$from" >"$copy/$(basename "$from")"
    done
    local bounds='(CUDA_EMULATOR_BOUNDS_MARK\(([^(),]*)[^()]*\) *)?'
    "$cxx" "${for_kernels[@]}" -E -P -x c++ -DCUDA_EMULATOR_SCAN "-I$copy" "-I$folder" "$copy/$name" |
        tr '\n' ' ' | sed -E 's/[[:space:]]+/ /g' >"$copy/scan.txt"
    grep -oE "extern \"C\" ?${bounds}CUDA_EMULATOR_KERNEL_MARK ?${bounds}(static )?void ${bounds}[A-Za-z_][A-Za-z_0-9]* ?\(" \
        "$copy/scan.txt" >"$copy/found.txt" || true
    local marks found
    marks=$(grep -oE 'CUDA_EMULATOR_KERNEL_MARK' "$copy/scan.txt" | wc -l)
    found=$(wc -l <"$copy/found.txt")
    if [ "$marks" != "$found" ] || [ "$found" = 0 ]; then
        echo "cuda-emulator: $file: $marks __global__ functions, of which $found are written extern \"C\" __global__ void name(...)" >&2
        return 1
    fi
    {
        echo "namespace {"
        echo "#include \"$name\""
        echo "}"
        echo "namespace {"
        sed -E 's/CUDA_EMULATOR_BOUNDS_MARK\(([^(),]*)[^()]*\)/@\1@/; s/extern "C"|CUDA_EMULATOR_KERNEL_MARK|static |void //g' "$copy/found.txt" |
            sed -E 's/^[^@]*@ *([^@]*)@ */\1|/; t; s/^/1024|/' |
            sed -E 's/^([^|]*)\| *([A-Za-z_0-9]+) ?\($/::cuda_emulator::Registration<\&\2> registration_\2("\2", (\1));/' | sort -u
        echo "}"
    } >"$copy/unit.cpp"
    local sum
    sum=$({ cat "$copy/scan.txt" "$copy/unit.cpp"; echo "$kernel_sum"; } | cksum)
    compile "$work/kernels-$number-${name%.*}.o" "$sum" "$copy/unit.cpp" "${for_kernels[@]}" "-I$copy" "-I$folder"
    echo "$work/kernels-$number-${name%.*}.o" >"$copy/object.txt"
}

kernel_sum=$({ cat "$source"/include/*.h "$0"; "$cxx" --version; } | cksum)
library_sum=$({ cat "$source"/*.cpp "$source"/*.h; echo "$kernel_sum"; } | cksum)

pids=()
labels=()
failed=0
wait_for_one() {
    if ! wait "${pids[0]}"; then
        echo "cuda-emulator: ${labels[0]} failed" >&2
        failed=1
    fi
    pids=("${pids[@]:1}")
    labels=("${labels[@]:1}")
}
start() {
    while [ ${#pids[@]} -ge "$jobs" ]; do
        wait_for_one
    done
    "$@" &
    pids+=($!)
    labels+=("$*")
}

library=(runtime driver cublas cudnn curand)
files=()
for name in affine binary cast conv fill indexing reduce sort ternary unary; do
    files+=("$candle/$name.cu")
done
files+=("$@")

objects=()
number=0
for file in "${files[@]}"; do
    start compile_kernels "$number" "$file"
    number=$((number + 1))
done
for name in "${library[@]}"; do
    start compile_library "$name"
    objects+=("$work/$name.o")
done
while [ ${#pids[@]} -gt 0 ]; do
    wait_for_one
done
[ $failed = 0 ] || exit 1

for ((i = 0; i < number; i++)); do
    objects+=("$(cat "$work/kernels-$i/object.txt")")
done
"$cxx" -shared -pthread -Wl,-z,defs -o "$out/libcuda_emulator.so.new" "${objects[@]}"
mv "$out/libcuda_emulator.so.new" "$out/libcuda_emulator.so"
for name in libcuda.so.1 libcublas.so.13 libcublasLt.so.13 libcurand.so.10 libnvrtc.so.13 libcudnn.so.9; do
    ln -sf libcuda_emulator.so "$out/$name"
    ln -sf libcuda_emulator.so "$out/${name%%.*}.so"
done
echo "cuda-emulator: $(cat "$work"/kernels-*/unit.cpp | grep -c '^::cuda_emulator::Registration') kernels in $out"
