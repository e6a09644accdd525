#!/usr/bin/env bash
# The GPU lane, whole, in one call under nine minutes: correctness first, then timing.
# Runs on a bare CUDA machine with torch, triton, pytest and pytest-timeout, and with what librehps
# imports; installs nothing and needs no network.
# Results go to $OUT where it is set, else to benchmarks/results/.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
RESULTS=${OUT:-benchmarks/results}
export JAXTYPING_DISABLE=1 PYTHONUNBUFFERED=1
mkdir -p "$RESULTS"

"$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' ||
  { echo "make gpu: torch sees no CUDA device here" >&2; exit 2; }
"$PYTHON" -c 'import torch; p = torch.cuda.get_device_properties(0); print(torch.__version__, p.name, f"sm_{p.major}{p.minor}")'

"$PYTHON" -m pytest tests/gpu -m gpu -q
# Where torch sees a GPU these run compiled, in bfloat16 too, and not in triton's interpreter.
"$PYTHON" -m pytest tests/kernels/test_triton_rows.py tests/kernels/*/test_triton_*.py -q
"$PYTHON" -m benchmarks.ops.gated_delta_rule --device cuda --out "$RESULTS/gated-delta-rule-cuda.json"
