#!/usr/bin/env bash
# Run every test in both interpreters, side by side, and end in one line: N passed, M failed[, K skipped].
# Arguments go to pytest: bash tests/run.sh -k layout
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
# Two processes with OpenMP threads that spin while they wait would take each other's cores.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}" GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-0}"

# run SIDE FOLDER,... [ARGUMENT...]: tests/conftest.py leaves "passed failed skipped" in the file LENS_TEST_COUNTS.
# Git keeps no empty folder, so only those that are there are given to pytest.
run() {
  local side="$1" folders=() name status p=0 f=0 s=0
  for name in ${2//,/ }; do
    if [ -d "tests/$name" ]; then folders+=("tests/$name"); fi
  done
  shift 2
  printf '\n== %s: %s, %s\n' "$side" "$(".venv-$side/bin/python" --version)" "${folders[*]}"
  LENS_TEST_COUNTS="$work/$side" ".venv-$side/bin/python" -m pytest --continue-on-collection-errors "${folders[@]}" "$@"
  status=$?
  read -r p f s <"$work/$side" || true
  # 5: nothing collected. Any other status without a failed test is a run that broke off.
  if [ "$status" -ne 0 ] && [ "$status" -ne 5 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
  echo "${p:-0} ${f:-0} ${s:-0}" >"$work/$side"
}

# The shorter one in the background; it is shown when the other has ended.
run legacy common,twins,legacy "$@" >"$work/legacy.log" 2>&1 &
run modern common,twins,modern,parity,agreement,reproduction "$@"
wait
cat "$work/legacy.log"

passed=0 failed=0 skipped=0
for side in legacy modern; do
  read -r p f s <"$work/$side"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done

echo
if [ $((passed + failed)) -eq 0 ]; then
  echo "No test ran: is tests/ complete?" >&2
  failed=1
fi
line="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then line="$line, $skipped skipped"; fi
echo "$line"
[ "$failed" -eq 0 ]
