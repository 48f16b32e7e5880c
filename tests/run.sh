#!/usr/bin/env bash
# Run every test in both interpreters, side by side, and end in one line: N passed, M failed[, K skipped].
# Arguments go to pytest: bash tests/run.sh -k layout
# LENS_ONLY names some test files instead of all, LENS_SIDE one side, LENS_PYTHON another Python of the modern one.
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

# The sides run side by side. With a thread for each core, those of one would wait, busily, for those of the other: four
# times the processor time for ten steps of a ResNet.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

passed=0 failed=0 skipped=0
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM

# folders_of NAME...: those that are there, git keeps no empty folder; or of LENS_ONLY the files that lie in them.
folders_of() {
  folders=()
  for name in "$@"; do
    if [ -n "${LENS_ONLY+set}" ]; then
      for file in $LENS_ONLY; do
        case "$file" in "tests/$name/"*) folders+=("$file") ;; esac
      done
    elif [ -d "tests/$name" ]; then
      folders+=("tests/$name")
    fi
  done
}

# run NAME SIDE ARGUMENT...: tests/conftest.py leaves "passed failed skipped" in the file LENS_TEST_COUNTS.
run() {
  local name="$1" side="$2"
  shift 2
  if [ ${#folders[@]} -eq 0 ]; then echo 5 >"$place/$name.status"; return; fi
  if [ "$side" = modern ]; then side="modern${LENS_PYTHON:+-$LENS_PYTHON}"; fi
  printf '\n== %s: %s, %s\n' "$name" "$(".venv-$side/bin/python" --version)" "${folders[*]}"
  LENS_TEST_COUNTS="$place/$name" ".venv-$side/bin/python" -m pytest --continue-on-collection-errors --durations=10 "${folders[@]}" "$@"
  echo $? >"$place/$name.status"
}

# count NAME: add its numbers to those of the others.
count() {
  local p=0 f=0 s=0 status
  read -r p f s 2>/dev/null <"$place/$1" || true
  status="$(cat "$place/$1.status" 2>/dev/null || echo 1)"
  # 5: nothing collected. Any other status without a failed test is a run that broke off.
  if [ "$status" -ne 0 ] && [ "$status" -ne 5 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
}

# The rest falls to the side that ends first.
rest() {
  mkdir "$place/rest-taken" 2>/dev/null || return 0
  folders_of reproduction models
  run rest modern "$@"
}
# What starts legacy processes from the modern interpreter comes after the legacy tests, whose compiled modules it takes.
legacy() {
  folders_of common twins legacy
  run legacy legacy "$@"
  if [ -n "${LENS_SIDE:-}" ]; then return; fi
  folders_of original parity agreement
  run both modern "$@"
  rest "$@"
}
names=()
if [ "${LENS_SIDE:-legacy}" = legacy ]; then
  legacy "$@" >"$place/said" 2>&1 &
  names+=(legacy)
  if [ -z "${LENS_SIDE:-}" ]; then names+=(both); fi
fi
if [ "${LENS_SIDE:-modern}" = modern ]; then
  folders_of common twins modern
  run modern modern "$@"
  rest "$@"
  names+=(modern rest)
fi
wait
cat "$place/said" 2>/dev/null
for name in "${names[@]}"; do count "$name"; done

echo
if [ $((passed + failed)) -eq 0 ] && [ -z "${LENS_ONLY+set}" ]; then
  echo "No test ran: is tests/ complete?" >&2
  failed=1
fi
line="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then line="$line, $skipped skipped"; fi
echo "$line"
[ "$failed" -eq 0 ]
