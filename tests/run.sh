#!/usr/bin/env bash
# Run every test in both interpreters, side by side, and end in one line: N passed, M failed[, K skipped].
# Arguments go to pytest: bash tests/run.sh -k layout
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

passed=0 failed=0 skipped=0
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM

# folders_of NAME...: those that are there; git keeps no empty folder.
folders_of() {
  folders=()
  for name in "$@"; do
    if [ -d "tests/$name" ]; then folders+=("tests/$name"); fi
  done
}

# run SIDE FOLDER...: tests/conftest.py leaves "passed failed skipped" in the file LENS_TEST_COUNTS.
run() {
  local side="$1"
  shift
  printf '\n== %s: %s, %s\n' "$side" "$(".venv-$side/bin/python" --version)" "${folders[*]}"
  LENS_TEST_COUNTS="$place/$side" ".venv-$side/bin/python" -m pytest --continue-on-collection-errors "${folders[@]}" "$@"
  echo $? >"$place/$side.status"
}

# count SIDE: add its numbers to those of both.
count() {
  local p=0 f=0 s=0 status
  read -r p f s 2>/dev/null <"$place/$1" || true
  status="$(cat "$place/$1.status" 2>/dev/null || echo 1)"
  # 5: nothing collected. Any other status without a failed test is a run that broke off.
  if [ "$status" -ne 0 ] && [ "$status" -ne 5 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
}

# The shorter one first, and what it says last: modern tests begin with what compiles no graph.
folders_of common twins legacy
run legacy "$@" >"$place/said" 2>&1 &
legacy=$!
folders_of common twins modern original parity agreement reproduction models
run modern "$@"
wait "$legacy"
cat "$place/said"
count legacy
count modern

echo
if [ $((passed + failed)) -eq 0 ]; then
  echo "No test ran: is tests/ complete?" >&2
  failed=1
fi
line="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then line="$line, $skipped skipped"; fi
echo "$line"
[ "$failed" -eq 0 ]
