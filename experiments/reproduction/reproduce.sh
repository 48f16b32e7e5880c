#!/usr/bin/env bash
# Make the reproduction pages: story.html, reproduction.html, appendix.html, and ledger.json.
#
#   bash experiments/reproduction/reproduce.sh          in docs/, from the runs in results/reproduction, a minute
#   bash experiments/reproduction/reproduce.sh quick    run a small study first, 20 minutes; its pages lie in runs/reproduction-quick
#   bash experiments/reproduction/reproduce.sh full     run what is left of the whole plan, days; then keep it and make the pages
#
# A study that was stopped goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=.venv-modern/bin/python
export PYTHONPATH=.:common:modern

case "${1:-}" in
  "") results=results/reproduction page=docs/reproduction.html ;;
  quick)
    study=runs/reproduction-quick results=runs/reproduction-quick/results page=runs/reproduction-quick/pages/reproduction.html ;;
  full) study=runs/reproduction-full results=results/reproduction page=docs/reproduction.html ;;
  *) echo "reproduce: no profile named $1; choose quick, full or none" >&2; exit 2 ;;
esac

if [ -n "${1:-}" ]; then
  "$python" -m experiments reproduction.study "$1" --folder "$study"
  "$python" -m experiments reproduction.publish "$study" "$results"
fi
"$python" -m experiments reproduction.page "$results" "$page"
