#!/usr/bin/env bash
# The first nine minutes on a GPU: what runs, how fast, and a real training of minutes.
#
#   bash benchmarks/first_gpu_minutes.sh OUT
#   REHEARSAL=1 bash benchmarks/first_gpu_minutes.sh OUT    # on a processor, tiny sizes
#
# Everything is written below the folder OUT as it comes; OUT/stages.tsv says how each
# stage ended. A stage has a limit of its own and the next one follows whatever came of
# it, but where the tests for GPUs fail all ends: numbers of broken code are worth nothing.
# The limits add up to more than TOTAL_SECONDS (520, and 20 to pack): where earlier stages
# took long the last ones are cut, or called late and left out.
#
# Data: a results folder made before, which DATASETS names, holds hopper's remade
# medium-expert set (with a policy's weights in DQL_POLICY_DIR:
#   dql data policies; dql data generate remade-hopper-medium-expert --scale evidence);
# without it, data are rolled out here from the policies that come with the source.
# WHEELS: a folder of the wheels in gpu_wheels.txt, where they are not installed.
#
# Afterwards, to keep what it brought: unpack OUT/training.tar.gz into a FOLDER, then
#   dql keep gpu --from FOLDER
# and the numbers, OUT/*.json, each of which names the card, go to results/benchmarks.
set -uo pipefail

if [ $# -ne 1 ]; then
  echo "usage: bash benchmarks/first_gpu_minutes.sh OUT" >&2
  exit 2
fi
ROOT=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" || exit 2
OUT=$(cd "$1" && pwd)
PYTHON=${PYTHON:-$(command -v python || echo python3)}
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1

if [ -n "${REHEARSAL:-}" ]; then
  DEVICE=cpu STEPS=800 INTERVAL=200 SEEDS=(0 1) THREADS=(1) SECONDS_TO_TERM=21
  STEP_ROWS=(--dimensions hopper --runs 1 --seconds 0 --ways)
  WIDE_ROWS=(--dimensions antmaze --runs 1 --seconds 0 --ways)
  EVALUATION_SECONDS=1 LIMIT_SCALE=20 SCALE=smoke END=${TOTAL_SECONDS:-10000}
else
  DEVICE=cuda STEPS=100000 INTERVAL=10000 SEEDS=(0 1 2 3 4 5) THREADS=(1 4 8)
  SECONDS_TO_TERM=40
  STEP_ROWS=(--dimensions hopper --seconds 3)
  WIDE_ROWS=(--dimensions antmaze --runs 6 --seconds 3)
  EVALUATION_SECONDS=3 LIMIT_SCALE=1 SCALE=quick END=${TOTAL_SECONDS:-520}
fi

# stage NAME LIMIT COMMAND...: run a command for at most LIMIT seconds; keep its output.
stage() {
  local name=$1 limit=$(($2 * LIMIT_SCALE)) began=$SECONDS status
  local left=$((END - SECONDS))
  shift 2
  echo "== $name"
  if [ "$left" -le 0 ]; then  # to timeout, 0 is no limit
    printf '%s\tlate\t0\n' "$name" >> "$OUT/stages.tsv"
    return 124
  fi
  [ "$limit" -le "$left" ] || limit=$left
  timeout --signal=TERM --kill-after=20 "$limit" "$@" > "$OUT/$name.log" 2>&1
  status=$?
  printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - began))" >> "$OUT/stages.tsv"
  tail -n 3 "$OUT/$name.log"
  return "$status"
}

# The six seeds train in one block: TERM after a while, then again, to the end.
training() {
  local method=$1 term=$2 limit=$3 seed options=()
  for seed in "${SEEDS[@]}"; do options+=(--seed "$seed"); done
  options+=(--device "$DEVICE" --threads "${#SEEDS[@]}" "${SIZES[@]}")
  stage "train_${method}_until_term" "$term" \
    "$PYTHON" -m dql train "$TASK" "$method" "${options[@]}"
  stage "train_${method}_resumed" "$limit" \
    "$PYTHON" -m dql train "$TASK" "$method" "${options[@]}"
}

versions() {
  date
  nvidia-smi
  nvidia-smi --list-gpus
  "$PYTHON" - << 'PY'
import json, os, torch
from dql.results.provenance import machine, versions
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
print(json.dumps({"gpu": gpu, "cuda": torch.version.cuda, **versions(), **machine()}))
import dql.training.loop, dql.environments.batch, pytest
if os.environ["DEVICE"] == "cuda" and not gpu:
    raise SystemExit("PyTorch sees no GPU here")
PY
}

: > "$OUT/stages.tsv"
if [ -n "${WHEELS:-}" ]; then
  SITE=$(mktemp -d)
  trap 'rm -rf "$SITE"' EXIT
  stage wheels 30 "$PYTHON" -m pip install --quiet --no-index --no-deps \
    --find-links "$WHEELS" --target "$SITE" --requirement "$ROOT/benchmarks/gpu_wheels.txt"
  export PYTHONPATH=$PYTHONPATH:$SITE
fi

export -f versions
export PYTHON DEVICE
stage versions 30 bash -c versions || exit 1

cd "$ROOT" || exit 2
TESTS=("$PYTHON" -m pytest -q -m gpu -p no:cacheprovider --durations=5)
stage gpu_tests 110 "${TESTS[@]}" --maxfail=8 tests/training/test_on_a_gpu.py
tests=$?
if [ $tests -ne 0 ]; then
  echo "the tests for GPUs failed (gpu_tests.log): nothing else is run" >&2
  exit 1
fi
stage gpu_exact_tests 45 "${TESTS[@]}" tests/training/test_exact_on_a_gpu.py

stage steps_hopper 50 "$PYTHON" benchmarks/gradient_steps.py --device "$DEVICE" \
  "${STEP_ROWS[@]}" --output "$OUT/gradient_steps_hopper.json"
stage steps_antmaze 20 "$PYTHON" benchmarks/gradient_steps.py --device "$DEVICE" \
  "${WIDE_ROWS[@]}" --output "$OUT/gradient_steps_antmaze.json"
counts=()
for count in "${THREADS[@]}"; do counts+=(--threads "$count"); done
stage evaluation 35 "$PYTHON" benchmarks/evaluation.py --device "$DEVICE" \
  "${counts[@]}" --seconds "$EVALUATION_SECONDS" --output "$OUT/evaluation.json"

# Real training, in a folder of its own.
TRAINING=$OUT/training
mkdir -p "$TRAINING/results" && cd "$TRAINING" || exit 2
seeds=$(IFS=,; echo "[${SEEDS[*]}]")
TASK=remade-hopper-medium-expert
if [ -n "${DATASETS:-}" ] && [ -e "$DATASETS/datasets/$TASK.json" ]; then
  ln -sfn "$DATASETS/datasets" results/datasets
  stages="[{tasks: [$TASK], methods: [diffusion_ql, bc_diffusion, td3_bc], seeds: $seeds}]"
  SUITE=suites.remade SIZES=(--scale evidence --set "suites.remade.stages=$stages")
else
  TASK=local-hopper-medium-expert
  SUITE=suites.local SIZES=(--scale "$SCALE" --set "suites.local.seeds=$seeds")
  stage behavior 20 "$PYTHON" -m dql data behavior hopper --scale "$SCALE"
  stage data 40 "$PYTHON" -m dql data generate $TASK --scale "$SCALE"
fi
for change in num_gradient_steps=$STEPS evaluation_interval=$INTERVAL \
  checkpoint_interval=$((INTERVAL / 2)) log_interval=$((INTERVAL / 10)); do
  SIZES+=(--set "$SUITE.training.$change")
done
term=$SECONDS_TO_TERM
[ -n "${REHEARSAL:-}" ] && LIMIT_SCALE=1
training diffusion_ql "$term" $((${REHEARSAL:+600} + 150))
training bc_diffusion "$((term / 3))" $((${REHEARSAL:+600} + 30))
training td3_bc "$((term / 3))" $((${REHEARSAL:+600} + 25))

# What the runs measured, and one checkpoint; the others need not travel.
END=$((SECONDS + 20 * LIMIT_SCALE))
stage pack 20 bash -c 'set -e
  first=$(find results/runs -name "*.safetensors" | sort | head -n 1)
  find results/runs -name "*.safetensors" ! -path "$first" -delete
  tar --create --gzip --file ../training.tar.gz results/runs'
rm -rf results/datasets
cat "$OUT/stages.tsv"
