#!/usr/bin/env bash
# Puts a CUDA toolkit into a folder: what it takes to build affect with `--features cuda`, and to run it beside NVIDIA's
# driver. Everything comes from the Python package index (2 GB unpacked). Needs Python 3 with pip and a C++ compiler, no
# root and no GPU.
#
#     scripts/cuda-toolchain.sh FOLDER [--skip-unused-kernels]
#     source FOLDER/env.sh
#     cargo build --release --features cuda
#
# --skip-unused-kernels   Leaves out Candle's kernels for quantised networks and mixtures of experts, most of a first
#                         build's time: env.sh then names a wrapper of nvcc that compiles their sources to nothing.
#                         affect never calls them, and stops with a message if it ever did.
#
# Running it again changes nothing that is right already. Linux on x86-64 and aarch64.
set -euo pipefail

# One release of the toolkit: 13.0 runs with drivers from 580 on and knows devices from compute capability 7.5 on.
packages=(
    nvidia-cuda-nvcc==13.0.88
    nvidia-cuda-crt==13.0.88
    nvidia-nvvm==13.0.88
    nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85
    nvidia-cublas==13.1.0.3
    nvidia-cuda-nvrtc==13.0.88
    nvidia-curand==10.4.0.35
    nvidia-cudnn-cu13==9.21.0.82
)

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0"; }
fail() { printf 'cuda-toolchain: %s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*"; }

folder=""
skip_unused=no
for argument in "$@"; do
    case "$argument" in
        --skip-unused-kernels) skip_unused=yes ;;
        -h | --help) usage; exit 0 ;;
        -*) fail "unknown option $argument; see --help" ;;
        *) [ -z "$folder" ] || fail "one folder only, not \`$folder\` and \`$argument\`"; folder=$argument ;;
    esac
done
[ -n "$folder" ] || { usage >&2; exit 2; }

[ "$(uname -s)" = Linux ] || fail "NVIDIA's wheels are for Linux (and Windows); install the CUDA toolkit here instead"
command -v python3 >/dev/null || fail "python3 is missing; install it (Debian: apt-get install python3-pip)"
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip; install it (Debian: apt-get install python3-pip)"
compiler=${NVCC_CCBIN:-}
if [ -z "$compiler" ]; then
    for candidate in g++ clang++ c++; do
        if command -v "$candidate" >/dev/null; then compiler=$candidate; break; fi
    done
fi
[ -n "$compiler" ] || fail "a C++ compiler is missing (Debian: apt-get install g++), or name one in NVCC_CCBIN"
command -v "$compiler" >/dev/null || fail "NVCC_CCBIN names \`$compiler\`, which is not there"

mkdir -p "$folder" || fail "cannot make \`$folder\`"
folder=$(cd "$folder" && pwd)
wheels="$folder/wheels"
pinned=$(printf '%s\n' "${packages[@]}")

if [ -f "$folder/installed.txt" ] && [ "$(cat "$folder/installed.txt")" = "$pinned" ]; then
    say "The packages are in \`$wheels\` already"
else
    say "Getting ${#packages[@]} packages into \`$wheels\`"
    rm -rf "$wheels" "$folder/installed.txt"
    # --no-deps: the list above is complete, and nothing else gets in.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --disable-pip-version-check --no-input --quiet \
        --no-deps --no-compile --only-binary :all: --target "$wheels" "${packages[@]}" || fail "pip could not install the packages (its message is above)"
    printf '%s\n' "$pinned" >"$folder/installed.txt"
fi

toolkit="$wheels/nvidia/cu13"
[ -x "$toolkit/bin/nvcc" ] || fail "\`$toolkit/bin/nvcc\` is missing; delete \`$folder\` and run this again"

say "Completing the toolkit in \`$toolkit\`"
ln -sfn lib "$toolkit/lib64"
# cuDNN has a folder of its own; here it joins the others.
for file in "$wheels"/nvidia/cudnn/lib/*.so* "$wheels"/nvidia/cudnn/include/*.h; do
    [ -e "$file" ] || continue
    case "$file" in *.h) into=include ;; *) into=lib ;; esac
    ln -sf "../../cudnn/$into/$(basename "$file")" "$toolkit/$into/"
done
# The linker looks for libX.so.
for library in "$toolkit"/lib/*.so.*; do
    name=$(basename "$library")
    ln -sf "$name" "$toolkit/lib/${name%%.so.*}.so"
done
# No wheel has libcuda: it comes with the driver, and affect's build.rs makes a stand-in for the linker.

nvcc="$toolkit/bin/nvcc"
if [ "$skip_unused" = yes ]; then
    mkdir -p "$folder/skip-unused/bin"
    # cudaforge, which builds Candle's kernels, takes the toolkit's folder from where nvcc is.
    ln -sfn "$toolkit/include" "$folder/skip-unused/include"
    ln -sfn "$toolkit/lib" "$folder/skip-unused/lib64"
    nvcc="$folder/skip-unused/bin/nvcc"
    cat >"$nvcc.new" <<WRAPPER
#!/usr/bin/env bash
# nvcc, except that Candle's kernels for quantised networks and mixtures of experts become empty: affect never calls them.
# Written by scripts/cuda-toolchain.sh.
set -euo pipefail
source="" output="" folder="." next="" ptx=no
for argument in "\$@"; do
    case "\$next" in
        output) output=\$argument ;;
        folder) folder=\$argument ;;
    esac
    next=""
    case "\$argument" in
        -o) next=output ;;
        --output-directory) next=folder ;;
        --ptx | -ptx) ptx=yes ;;
        *.cu) source=\$(basename "\$argument") ;;
    esac
done
case "\$source" in
    quantized.cu | mmq_*.cu | mmvq_*.cu | moe_*.cu)
        if [ "\$ptx" = yes ]; then
            printf '.version 9.0\n.target sm_75\n.address_size 64\n' >"\${output:-\$folder/\${source%.cu}.ptx}"
        else
            "$(command -v "$compiler")" -x c++ -c -fPIC -o "\$output" - </dev/null
        fi
        ;;
    *) exec "$toolkit/bin/nvcc" "\$@" ;;
esac
WRAPPER
    chmod +x "$nvcc.new"
    cmp -s "$nvcc.new" "$nvcc" && rm "$nvcc.new" || mv "$nvcc.new" "$nvcc"
fi

{
    printf '# Source this before cargo. Written by scripts/cuda-toolchain.sh.\n'
    printf 'export CUDA_HOME=%q\n' "$toolkit"
    printf 'export CUDA_PATH="$CUDA_HOME" CUDA_ROOT="$CUDA_HOME"\n'
    printf 'export NVCC=%q\n' "$nvcc"
    printf 'case ":$PATH:" in *":$CUDA_HOME/bin:"*) ;; *) export PATH="$CUDA_HOME/bin:$PATH" ;; esac\n'
    printf '# The oldest devices that the kernels shall run on: 75 is the lowest that this toolkit knows.\n'
    printf 'export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-75}"\n'
    printf '# Where affect looks for libraries that the system does not have.\n'
    printf 'case ":${AFFECT_CUDA_LIBRARIES:-}:" in\n'
    printf '    *":$CUDA_HOME/lib:"*) ;;\n'
    printf '    *) export AFFECT_CUDA_LIBRARIES="${AFFECT_CUDA_LIBRARIES:+$AFFECT_CUDA_LIBRARIES:}$CUDA_HOME/lib" ;;\n'
    printf 'esac\n'
    # nvcc asks for gcc by itself.
    if [ -n "${NVCC_CCBIN:-}" ] || ! command -v gcc >/dev/null; then printf 'export NVCC_CCBIN=%q\n' "$compiler"; fi
} >"$folder/env.sh"

"$toolkit/bin/nvcc" --version >/dev/null || fail "\`$toolkit/bin/nvcc\` does not run here"
say "$("$toolkit/bin/nvcc" --version | sed -n 's/^Cuda compilation tools, /CUDA /p')"
say "Now: source $folder/env.sh"
