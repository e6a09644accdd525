#!/usr/bin/env bash
# Remakes librehps/assets/nano from nothing: some eight hours on two CPU cores. Run it from the
# repository's root; what is there already is not made again, so it may be stopped at any time.
# SHRINK=300 scripts/train_nano.sh /tmp/few   goes through every stage with a 300th of the pairs and
# steps, in some minutes: what it makes has learned nothing, but nothing on the way is left out.
set -euo pipefail

WORK=${1:-.nano}
PYTHON=${PYTHON:-.venv/bin/python}
PROCESSES=${PROCESSES:-2} # of 16 pairs a step each
SHRINK=${SHRINK:-1}
export OMP_NUM_THREADS=1

share() { echo $((($1 + SHRINK - 1) / SHRINK)); }

synth() { # NAME PAIRS SEED and what is special; votes on four objects are as sure as those on one
  [ -e "$WORK/$1/train.json" ] || "$PYTHON" -m librehps synth --out "$WORK/$1" --pairs "$(share "$2")" --seed "$3" \
    --validation "$(share 1500)" --test 0 --held-out 0 --side 128 --clutter 1 --mirrored "${@:4}"
}

stage() { # NAME START DATA STEPS, weights of alignment, coherence and style, DECAY and what else is special
  local resume=()
  [ ! -e "$WORK/$1/last" ] || return 0
  [ ! -e "$WORK/$1/recipe.json" ] || resume=(--resume)
  "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES" -m librehps train \
    recipes/nano.yaml --out "$WORK/$1" "${resume[@]}" "start=$WORK/$2" "data.train=$WORK/$3/train.json" \
    "data.validation=$WORK/$3/validation.json" "run.batch_pairs=$((32 / PROCESSES))" "run.steps=$(share "$4")" \
    "axis_weights={alignment: $5, coherence: $6, style: $7}" "schedule.decay_share=$8" "${@:9}"
}

lesson() { # NAME START PROCESSES STEPS and what else is special
  [ -e "$WORK/$1/model.safetensors" ] || "$PYTHON" -m torch.distributed.run --standalone \
    --nproc-per-node "$3" scripts/teach_nano.py "$WORK/$2" "$WORK/$1" --steps "$(share "$4")" "${@:5}"
}

# One object and faults that can be seen come first: until words and objects are told apart, all else
# is noise. Then all objects, then all strengths. Sigma is learned late: it is about what the rest
# does not know. Where things are is practised step by step - one object, one or two, two - since
# no other fault asks for it; then shapes and textures, which are in few pairs; and in the end all
# faults come as they come in the test.
synth one-object 60000 5 --faintest 0.6 --most-objects 1
synth strong 120000 1 --faintest 0.6
synth world 100000 11
synth more 160000 12
rest=melted,broken=0.5,shuffled=0.5,noise=0.3,blur=0.3,blocks=0.3,palette=0.3
synth placed 9000 51 --faintest 0.6 --placed --most-objects 1 \
  --faults relation=5,colour,shape,subject=0.5,melted=0.5,noise=0.3
synth one-or-two 30000 52 --faintest 0.5 --placed --most-objects 2 \
  --faults "relation=5,colour,shape=2,texture=2,subject=0.5,count,$rest"
synth two 16000 53 --faintest 0.5 --most-objects 2 \
  --faults "relation=6,colour,shape=2,texture=2,subject=0.5,count,$rest"
shares=melted=1.3,broken=0.7,shuffled=0.7,noise=0.5,blur=0.5,blocks=0.5,palette=0.5
synth practice 36000 41 --faintest 0.4 --faults "relation=4,subject,colour,shape=3,texture=3,count,$shares"
synth mixed 33700 61 --faintest 0.2 \
  --faults "relation=3,shape=2.5,texture=2.5,subject=0.7,colour,count,$shares"
synth last 90000 22
[ -e "$WORK/start" ] || "$PYTHON" -m librehps init "$WORK/start" --preset nano --words-of "$WORK/world/train.json" \
  --template recipes/nano-template.txt --min-pixels 9216 --max-pixels 20736 --dtype float32
panel="loss={kind: panel_thurstone, votes: 12}"
stage 1 start one-object 3000 0.1 0.1 0.1 0.25
stage 2 1/last one-object 2400 0.2 0.2 0.2 0.1
stage 3 2/last strong 2250 0.3 0.3 0.3 0
stage 4 3/last world 3900 1 0.5 0.3 0.02
stage 5 4/last more 5700 1 0.5 0.3 0.4 "$panel"
stage 6 5/last placed 425 1 0.4 0.1 0 "$panel"
stage 7 6/last one-or-two 1720 1 0.5 0.3 0 "$panel"
stage 8 7/last two 690 1 0.5 0.3 0 "$panel"
stage 9 8/last practice 1500 1 0.5 0.3 0 "$panel"
slower=(optimizer.learning_rate=0.0004 optimizer.matrix_learning_rate=0.0008)
stage 10 9/last last 1800 1 0.5 0.3 0 "$panel" "${slower[@]}"
slower=(optimizer.learning_rate=0.00025 optimizer.matrix_learning_rate=0.0005)
stage 11 10/last mixed 1300 1 0.5 0.3 0 "$panel" "${slower[@]}"
stage 12 11/last last 2000 1 0.5 0.3 0.95 "$panel" "${slower[@]}" run.seed=1
# What votes teach the tower is little: it is shown what lies where, then the text model learns to
# read it; then all of it is told what each picture is worth, and last what votes say of it.
still="optimizer.scales={patches: 0, vision: 0}"
lesson 13 12/last 1 6000 --keep 1
stage 14 13 last 3300 1 0.5 0.3 0.5 "$panel" "$still" schedule.final_share=0.3 run.seed=11
lesson 15 14/last "$PROCESSES" 3800 --judge --pictures "$((64 / PROCESSES))" --seed 177
slower=(optimizer.learning_rate=0.0002 optimizer.matrix_learning_rate=0.0003)
still="optimizer.scales={patches: 0, vision: 0, heads: 5}"
stage 16 15 more 800 1 0.5 0.3 0.9 "$panel" "$still" "${slower[@]}" run.seed=21
# The lesson had not been learned to its end: the same again, twice, with other pictures.
lesson 17 16/last "$PROCESSES" 6400 --judge --pictures "$((64 / PROCESSES))" --seed 291
stage 18 17 more 800 1 0.5 0.3 0.9 "$panel" "$still" "${slower[@]}" run.seed=31
lesson 19 18/last "$PROCESSES" 2800 --judge --rate 0.0008 --pictures "$((64 / PROCESSES))" --seed 411
stage 20 19 more 600 1 0.5 0.3 0.9 "$panel" "$still" "${slower[@]}" run.seed=41
# Of colours and of shuffled parts the strengths were told worst.
lesson 21 20/last "$PROCESSES" 6000 --judge --pictures "$((64 / PROCESSES))" --seed 733 \
  --practice colour=3,shuffled=2,broken=1.2,texture=1.5
stage 22 21 more 800 1 0.5 0.3 0.9 "$panel" "$still" "${slower[@]}" run.seed=51
# What the model sees is settled; a head that can bend says how good a picture is and how sure people
# are of it. It learns that from pairs that nothing above has seen, with votes as the test has them.
[ -e "$WORK/bent" ] || "$PYTHON" -m librehps init "$WORK/bent" --from "$WORK/22/last" --hidden-sizes 64,64 --dtype float32
[ -e "$WORK/settled" ] || "$PYTHON" scripts/settle_nano.py "$WORK/bent" "$WORK/settled" \
  --pairs "$(share 200000)" --test "$(share 4000)" --steps "$(share 20000)" --processes "$PROCESSES"
echo "trained: $WORK/settled"
