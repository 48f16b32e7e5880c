#!/usr/bin/env bash
# Try the image lens-legacy as a stranger would run it: no network, read-only root, foreign user, no capabilities.
# One line a check, ok or FAILED; exit code 1 if any failed. `make image` builds it first.
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

IMAGE=lens-legacy
python=.venv-modern/bin/python
engine="$(bash requirements/image.sh engine)" || exit 1
work="$(mktemp -d)"
name="lens-test-$$"
trap '"$engine" rm -f "$name" >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT

failed=0 started=$SECONDS
# check NAME COMMAND...: run it, say ok or FAILED, and in that case what the container wrote last.
check() {
  local what="$1"
  shift
  if "$@" >"$work/check" 2>&1; then
    printf 'image-test: %4d s  ok      %s\n' $((SECONDS - started)) "$what"
  else
    printf 'image-test: %4d s  FAILED  %s\n' $((SECONDS - started)) "$what"
    tail -n 20 "$work/check" "$work/stderr" 2>/dev/null | sed 's/^/    /'
    failed=1
  fi
}

# run OPTION... -- ARGUMENT...: run the image; status and output are kept.
run() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  local begin=$SECONDS
  "$engine" run --rm "${flags[@]}" "${options[@]}" "$IMAGE" "$@" >"$work/stdout" 2>"$work/stderr"
  status=$? seconds=$((SECONDS - begin))
}

# volume: a new folder that any user may write to.
volume() { rm -rf "$work/out"; mkdir -m 777 "$work/out"; out=(-v "$work/out:/out"); }

succeeded() { [ "$status" -eq 0 ] || { echo "exit code $status"; return 1; }; }

# one_sentence WORDS: exit code 2, one line of ours with these words, and no traceback.
one_sentence() {
  if [ "$status" -ne 2 ]; then echo "exit code $status"; return 1; fi
  if grep -q Traceback "$work/stderr"; then return 1; fi
  # A bar that was still shown may stand before it on the line.
  [ "$(grep -c 'lens-legacy: ' "$work/stderr")" -eq 1 ] && grep 'lens-legacy: ' "$work/stderr" | grep -qi "$1"
}

# whole RUN EPOCHS: the run directory is complete when read without the project.
whole() {
  "$python" - "$work/out/$1" "$2" <<'PYTHON'
import csv, json, math, pathlib, sys
import numpy as np
run, epochs = pathlib.Path(sys.argv[1]), int(sys.argv[2])
config, metrics = (json.loads((run / name).read_text()) for name in ("config.json", "metrics.json"))
environment = json.loads((run / "environment.json").read_text())
assert config["settings"]["epochs"] == epochs and "scaling" in config, config
assert environment["framework"]["blas"].startswith("-L"), environment
assert 0 <= metrics["auroc"] <= 1, metrics
rows = list(csv.DictReader((run / "history.csv").open()))
assert len(rows) == epochs and all(math.isfinite(float(row["loss"])) for row in rows), rows
with np.load(run / "weights.npz", allow_pickle=False) as weights:
    assert weights.files and all(np.isfinite(weights[name]).all() for name in weights.files)
for name in ("stamps.csv", "scores.csv", "scores.json", "rejected.csv", "roc.png", "history.png", "scores.png"):
    assert (run / name).stat().st_size, name
PYTHON
}

# What of the hardening an engine inside of another sandbox cannot set is left out, and said.
hardened=(--read-only --network=none --cap-drop=ALL --security-opt=no-new-privileges
  --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024)
if [ "$(id -u)" = 0 ]; then hardened+=(--user=12345:12345); else hardened+=("--user=$(id -u):$(id -g)"); fi
# Podman would add writable folders of its own.
if [ "$engine" = podman ]; then hardened+=(--read-only-tmpfs=false); fi
starts() { "$engine" run --rm "$@" "$IMAGE" --version >"$work/starts" 2>&1; }
flags=("${hardened[@]}")
if ! starts "${flags[@]}"; then
  if [ "$engine" = podman ] && starts "${flags[@]}" --cgroup-manager=cgroupfs; then :; fi
  for flag in "${hardened[@]}"; do
    others=()
    for other in "${flags[@]}"; do if [ "$other" != "$flag" ]; then others+=("$other"); fi; done
    if starts "${others[@]}"; then
      echo "image-test: this machine cannot set $flag, so the checks run without it"
      flags=("${others[@]}")
      break
    fi
  done
fi
starts "${flags[@]}" || { echo "image-test: $engine does not run the image: $(tail -n 1 "$work/starts")" >&2; exit 1; }
echo "image-test: $engine run ${flags[*]}"

tmp=(--tmpfs /tmp:exec)
CNN=(train --model cnn --mocks 200 --epochs 2)
RESNET=(train --model resnet --mocks 100 --epochs 1 --batch-size 32)
TINY=(train --model cnn --mocks 60 --epochs 1 --batch-size 8)

volume
run "${tmp[@]}" "${out[@]}" -- "${CNN[@]}" --out runs/cnn
warm=$seconds
check "the CNN trains ($seconds s)" succeeded
check "its run directory is whole" whole runs/cnn 2
check "nothing is warned of" test "$(grep -c -i warn "$work/stderr")" -eq 0
run "${tmp[@]}" "${out[@]}" -- evaluate runs/cnn
check "another container evaluates it" succeeded
run "${tmp[@]}" "${out[@]}" -- "${RESNET[@]}" --out runs/resnet
check "the ResNet trains ($seconds s)" succeeded
check "its run directory is whole" whole runs/resnet 1
run "${tmp[@]}" "${out[@]}" -- simulate --mocks 20 --out few
run "${tmp[@]}" "${out[@]}" -- score few --out few.csv
check "the shipped ResNet scores stamps ($seconds s)" succeeded
check "each of them" test "$(wc -l <"$work/out/few.csv")" -eq 21
run "${tmp[@]}" "${out[@]}" -e LENS_WARM_THEANO= -- "${CNN[@]}" --out runs/cold
check "without the warm modules the CNN still trains" succeeded
check "and takes longer: $seconds s, not $warm" test "$seconds" -gt $((warm * 3 / 2))

# compose.yaml, where the engine has compose: the same hardening without a flag to be typed.
if "$engine" compose version >/dev/null 2>&1; then
  cp compose.yaml "$work" && mkdir -p "$work/cutouts"
  (cd "$work" && LENS_USER=12345 "$engine" compose run --rm lens-legacy "${TINY[@]}" --out runs/composed) >"$work/stdout" 2>"$work/stderr"
  status=$?
  check "compose runs it" succeeded
  check "its run directory is whole" whole runs/composed 1
else
  echo "image-test: $engine has no compose here, so compose.yaml is not tried"
fi

rm -rf "$work/out/runs"
run "${out[@]}" -- "${TINY[@]}"
check "without a folder /tmp the volume serves for that too" succeeded
rm -rf "$work/out/runs"
run --tmpfs /tmp:rw,noexec "${out[@]}" -- "${TINY[@]}"
check "with a /tmp mounted noexec, too" succeeded
cut -d, -f1,2 "$work/out/runs/cnn-demo-seed1/history.csv" >"$work/history"
run --tmpfs /tmp:rw,noexec --tmpfs /out:rw,noexec,mode=1777 -- "${TINY[@]}"
check "nothing executable anywhere is one sentence" one_sentence "executed"
run --tmpfs /tmp:exec,size=10m --tmpfs /out:rw,mode=1777 -- "${TINY[@]}"
check "a full /tmp is one sentence" one_sentence "no space left"
run "${tmp[@]}" --tmpfs /out:rw,size=1m,mode=1777 -- "${TINY[@]}"
check "a full volume is one sentence" one_sentence "no space left"
run -- train
check "nothing writable is one sentence" one_sentence "cannot be written"
chmod 755 "$work/out"
run "${tmp[@]}" "${out[@]}" -- train
if [ "$(id -u)" = 0 ]; then check "a volume of someone else is one sentence" one_sentence "cannot be written"; fi
"$engine" run --rm --network=none --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 "$IMAGE" "${TINY[@]}" >"$work/stdout" 2>"$work/stderr"
status=$?
check "without a volume it trains, in the container" succeeded
check "and says so in one sentence" test "$(grep -c 'not a mounted volume' "$work/stderr")" -eq 1

volume
for wrong in cxx= cxx=/bin/false gcc.cxxflags=-nonsense blas.ldflags=-lnonsense compiledir=/proc/nowhere; do
  run "${tmp[@]}" "${out[@]}" -e "THEANO_FLAGS=$wrong" -- "${TINY[@]}" --out "runs/$wrong"
  check "THEANO_FLAGS=$wrong is one sentence" one_sentence "theano"
done
for harmless in nonsense=1 floatX=float16 device=cuda openmp; do
  run "${tmp[@]}" "${out[@]}" -e "THEANO_FLAGS=$harmless" -- "${TINY[@]}" --out "runs/$harmless"
  check "THEANO_FLAGS=$harmless does no harm" succeeded
  check "and changes no history" cmp "$work/history" <(cut -d, -f1,2 "$work/out/runs/$harmless/history.csv")
done

# stop_at FILE-OR-WORDS RUN ARGUMENT...: start in the background, stop it with SIGTERM once the checkpoint is there, or
# once the container has said these words.
stop_at() {
  local sign="$1" begin=$SECONDS
  shift
  "$engine" run -d --name "$name" "${flags[@]}" "${tmp[@]}" "${out[@]}" "$IMAGE" "$@" >/dev/null
  until [ -e "$work/out/$sign" ] || "$engine" logs "$name" 2>&1 | grep -q "$sign" || [ $((SECONDS - begin)) -gt 120 ]; do sleep 0.2; done
  "$engine" kill --signal TERM "$name" >/dev/null
  status="$("$engine" wait "$name")"
  "$engine" logs "$name" >"$work/stdout" 2>"$work/stderr"
  "$engine" rm "$name" >/dev/null
}
stopped() { [ "$status" -eq 143 ] && ! grep -q Traceback "$work/stderr" && grep -q 'SIGTERM' "$work/stderr"; }
LONG=(train --model cnn --mocks 200 --epochs 50 --out runs/long)
stop_at runs/long/checkpoint.npz "${LONG[@]}"
check "SIGTERM in the middle of a training ends it with 143" stopped
check "and leaves a checkpoint" test -s "$work/out/runs/long/checkpoint.npz" -a ! -e "$work/out/runs/long/weights.npz"
run "${tmp[@]}" "${out[@]}" -- "${LONG[@]}"
check "the same command goes on to the end" whole runs/long 50
check "and not from the beginning" test "$(grep -c 'epoch 1/50 ' "$work/stderr")" -eq 0
stop_at "graph is compiled" "${RESNET[@]}" --out runs/early
check "SIGTERM while graphs are compiled ends it with 143" stopped

echo "image-test: the image is $(("$("$engine" image inspect --format '{{.Size}}' "$IMAGE")" / 1000000)) MB:"
"$engine" history --format '{{.Size}}|{{.CreatedBy}}' --no-trunc "$IMAGE" | awk -F '|' '
  /lens-legacy train/ { print "  " $1 "  compiled modules"; next }
  /\/wheels\/\*.whl/ && /find / { print "  " $1 "  packages of the lock"; next }
  /\/own\/wheels/ { print "  " $1 "  this project and the shipped networks"; next }
  /apt-get install/ { print "  " $1 "  g++"; next }
  { last = $1 }
  END { print "  " last "  base" }'
if [ "$failed" = 1 ]; then echo "image-test: failed" >&2; exit 1; fi
echo "image-test: all is well, $((SECONDS - started)) s"
