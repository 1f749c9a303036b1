#!/usr/bin/env bash
# Run a command on the HTML templates of the repository; do nothing while there are none (djlint calls that an error).
#
#   templates.sh .venv/bin/djlint --check
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mapfile -d "" -t templates < <(find . -name .venv -prune -o -name .services -prune -o -path "*/templates/*.html" -print0 | sort -z)
[ "${#templates[@]}" -eq 0 ] || "$@" "${templates[@]}"
