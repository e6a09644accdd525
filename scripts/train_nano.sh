#!/usr/bin/env bash
# Remakes librehps/assets/nano from nothing: a few hours on two CPU cores. Run it from the
# repository's root; what is there already is not made again, so it may be stopped at any time.
set -euo pipefail

WORK=${1:-.nano}
PYTHON=${PYTHON:-.venv/bin/python}
PROCESSES=${PROCESSES:-2} # of 16 pairs a step each
export OMP_NUM_THREADS=1

synth() { # NAME PAIRS SEED and what is special
  [ -e "$WORK/$1/train.json" ] || "$PYTHON" -m librehps synth --out "$WORK/$1" --pairs "$2" --seed "$3" \
    --validation 1500 --test 0 --held-out 0 --side 128 --mirrored "${@:4}"
}

stage() { # NAME START DATA STEPS, weights of alignment, coherence and style, DECAY and what else is special
  local resume=()
  [ ! -e "$WORK/$1/last" ] || return 0
  [ ! -e "$WORK/$1/recipe.json" ] || resume=(--resume)
  "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES" -m librehps train \
    recipes/nano.yaml --out "$WORK/$1" "${resume[@]}" "start=$WORK/$2" "data.train=$WORK/$3/train.json" \
    "data.validation=$WORK/$3/validation.json" "run.batch_pairs=$((32 / PROCESSES))" "run.steps=$4" \
    "axis_weights={alignment: $5, coherence: $6, style: $7}" "schedule.decay_share=$8" "${@:9}"
}

# One object and faults that can be seen come first: until words and objects are told apart, all else
# is noise. Then all objects, then all strengths. Sigma is learned last: it is about what the rest
# does not know.
synth one-object 60000 5 --faintest 0.6 --most-objects 1
synth strong 120000 1 --faintest 0.6
synth world 100000 11
synth more 160000 12
[ -e "$WORK/start" ] || "$PYTHON" -m librehps init "$WORK/start" --preset nano --words-of "$WORK/world/train.json" \
  --template recipes/nano-template.txt --min-pixels 9216 --max-pixels 20736 --dtype float32
stage 1 start one-object 3000 0.1 0.1 0.1 0.25
stage 2 1/last one-object 2400 0.2 0.2 0.2 0.1
stage 3 2/last strong 2250 0.3 0.3 0.3 0
stage 4 3/last world 3900 1 0.5 0.3 0.02
stage 5 4/last more 5700 1 0.5 0.3 0.4 "loss={kind: panel_thurstone, votes: 12}"
echo "trained: $WORK/5/last"
