#!/usr/bin/env bash
# Run every static check, all of them even when one fails, and fail if one did.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/setup_venv.sh dev
bin="$VENV/bin"
failed=()
check() {
    say "$1"
    "${@:2}" || failed+=("$1")
}
check "format (make format puts it right)" "$bin/ruff" format --check --quiet .
check "style" "$bin/ruff" check --quiet .
check "types" scripts/types.sh
check "template format" scripts/templates.sh "$bin/djlint" --check
check "template style" scripts/templates.sh "$bin/djlint" --quiet --lint
check "floors of the packages" "$bin/lint-imports" --no-cache --no-logo
[ "${#failed[@]}" -eq 0 ] || die "failed: $(printf '%s; ' "${failed[@]}")"
say "All clean"
