#!/usr/bin/env bash
# The GPU lane, whole, in one call under nine minutes: correctness first, then timing.
# Runs on a bare CUDA machine with torch, triton, pytest, pytest-timeout and hypothesis, and with what
# librehps imports; installs nothing and needs no network. Kernels are compiled on as many cores as
# there are, up to 16, where pytest-xdist is at hand.
# Results go to $OUT where it is set, else to benchmarks/results/.
# DEVICE=cpu rehearses the lane without a GPU: the same steps, small shapes, results thrown away.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
export JAXTYPING_DISABLE=1 PYTHONUNBUFFERED=1 GPU_LANE_DEVICE=$DEVICE

FAILED=()
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
# A step that fails does not keep the others from running; the lane fails in the end.
try() { # LIMIT WHAT COMMAND...
  step "$2"
  timeout "$1" "${@:3}" || FAILED+=("$2")
}
has() { "$PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

case $DEVICE in
cuda)
  RESULTS=${OUT:-benchmarks/results}
  "$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' ||
    { echo "make gpu: torch sees no CUDA device here; DEVICE=cpu rehearses" >&2; exit 2; }
  NAME=ops-$("$PYTHON" -c 'import re, torch; print(re.sub(r"\W+", "-", torch.cuda.get_device_name(0)).strip("-").lower())')
  TESTS=(tests/gpu)
  LIMIT=200
  BENCH=(--preset 4b --tokens 300,8x1024,32768)
  # auto is torch until the kernels have been seen to be right on a GPU.
  STACK=(--preset 4b --tokens 8192 --kernel-impl triton)
  ;;
cpu)
  RESULTS=$(mktemp -d)
  trap 'rm -rf "$RESULTS"' EXIT
  NAME=ops-rehearsal
  TESTS=(tests/gpu/test_ops.py)
  # The interpreter is slow; a rehearsal is not held to nine minutes.
  LIMIT=900
  BENCH=(--preset nano --tokens 40 --seconds 0.001)
  STACK=(--preset nano --tokens 40 --seconds 0.001)
  ;;
*)
  echo "make gpu: DEVICE is $DEVICE; expected cuda or cpu" >&2
  exit 2
  ;;
esac
for module in pytest pytest_timeout hypothesis; do
  has "$module" || { echo "make gpu: $PYTHON has no $module, and nothing is timed that was not tested" >&2; exit 2; }
done
mkdir -p "$RESULTS"
CORES=()
if has xdist; then CORES=(--numprocesses logical --maxprocesses 16 --dist worksteal); fi

step "what is here"
"$PYTHON" -m librehps --version
"$PYTHON" -c 'import torch; print("torch", torch.__version__, *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))'

try "$LIMIT" "every op against float64, in poisoned memory, and twice" \
  "$PYTHON" -m pytest "${TESTS[@]}" -m gpu -q "${CORES[@]}"

if [ "$DEVICE" = cuda ]; then
  # Where torch sees a GPU these run compiled, in bfloat16 too, and not in triton's interpreter; the
  # large packs with them, which take minutes there alone.
  try 105 "the kernels' own tests, compiled" \
    "$PYTHON" -m pytest tests/kernels/test_triton_rows.py tests/kernels/*/test_triton_*.py -m "not gpu" -q "${CORES[@]}"
fi

PLOT=()
if has matplotlib; then PLOT=(--plot "$RESULTS/$NAME.png"); fi
try 120 "time, memory and distance to the roof" \
  "$PYTHON" -m librehps bench ops --device "$DEVICE" "${BENCH[@]}" \
  --out "$RESULTS/$NAME.json" "${PLOT[@]}"
try 20 "what was aimed at, and what is reached" \
  "$PYTHON" -m benchmarks.ops.aims "$RESULTS/$NAME.json"
try 45 "where the time of a stack of layers goes" \
  "$PYTHON" -m benchmarks.model.layer_stack --device "$DEVICE" "${STACK[@]}" \
  --out "$RESULTS/${NAME/ops/layers}.json"

if [ "$DEVICE" = cuda ] && has transformers; then
  try 45 "the delta rule against transformers" \
    "$PYTHON" -m benchmarks.ops.gated_delta_rule --device cuda --impl triton \
    --out "$RESULTS/gated-delta-rule-cuda.json"
fi

step "done; results in $RESULTS"
if [ ${#FAILED[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${FAILED[@]}" >&2
  exit 1
fi
