#!/bin/sh
# Works through a queue of experiments on a machine that has JAX, several runs at a time
# on one GPU; run in the repository's root, beside what `make gpu-kit` wrote:
#
#   pipelines/gpu_run.sh --output DIR [--kit gpu_kit] [--processes 4] [--minutes M] QUEUE..
#
# Leaves DIR/runs.jsonl and DIR/ranks of the runs that finished, DIR/log.N of every
# process, and DIR/results.tar.gz, the first two in one file. Afterwards, where the
# ledger is:
#
#   python -m pipelines.experiments --collect DIR
#
# If interrupted, rerun the command; it resumes from the run folders in WORK
# (--work, DIR/work if not given).
set -eu

fail() {
    echo "gpu_run: $1" >&2
    exit 2
}

kit=gpu_kit output= work= processes=4 minutes= queues=
while [ $# -gt 0 ]; do
    case $1 in
    --kit | --output | --work | --processes | --minutes)
        [ $# -gt 1 ] || fail "$1 takes a value"
        eval "${1#--}=\$2"
        shift 2
        ;;
    -*) fail "no such flag: $1" ;;
    *)
        queues="$queues $1"
        shift
        ;;
    esac
done
[ -n "$output" ] || fail "--output must name a folder"
[ -n "$queues" ] || fail "a queue must be named"
[ -d "$kit/data" ] || fail "--kit must name a folder that make gpu-kit wrote. Received: $kit"
case $processes in '' | *[!0-9]* | 0) fail "--processes must be a whole number above 0. Received: $processes" ;; esac
[ -n "$work" ] || work=$output/work
mkdir -p "$output" "$work"

PYTHON=${PYTHON:-python3}
site=$work/site
if ls "$kit"/wheels/*.whl >/dev/null 2>&1 && [ ! -d "$site" ]; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site.tmp" "$kit"/wheels/*.whl
    mv "$site.tmp" "$site"
fi
export PYTHONPATH="$site:$PWD" KERAS_BACKEND=jax
# Several processes share the memory of a GPU, and what each has compiled.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export JAX_COMPILATION_CACHE_DIR="$work/compiled"

# A process that ends early leaves the rest to the others; all end at the same minute.
started=$(date +%s)
pids=
trap 'kill $pids 2>/dev/null || true' EXIT INT TERM
number=0
while [ "$number" -lt "$processes" ]; do
    number=$((number + 1))
    (
        for queue in $queues; do
            limit=
            if [ -n "$minutes" ]; then
                limit=$(awk "BEGIN {m = $minutes - ($(date +%s) - $started) / 60; print (m > 0.01) ? m : 0.01}")
            fi
            "$PYTHON" -m pipelines.experiments "$queue" --backend jax --data "$kit/data" \
                --work "$work" --ledger "$output/runs.jsonl" ${limit:+--minutes "$limit"} || exit 1
        done
    ) >"$output/log.$number" 2>&1 &
    pids="$pids $!"
done

failed=0
for pid in $pids; do
    wait "$pid" || failed=1
done
pids=
if [ -f "$output/runs.jsonl" ]; then
    tar -C "$output" -czf "$output/results.tar.gz" runs.jsonl ranks
    echo "gpu_run: $(wc -l <"$output/runs.jsonl") runs in $output/runs.jsonl"
else
    echo "gpu_run: no run has finished"
fi
[ "$failed" = 0 ] || fail "a process failed; see $output/log.*"
