#!/usr/bin/env bash
# Remove what the commands of the Makefile made: the environment, caches, reports and private servers of runs that
# are over. Data, .env and servers of runs still going on stay.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -x "$VENV/bin/python" ]; then "$VENV/bin/python" -m devtools.leftovers; fi
rm -rf "$VENV" .venv.lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis \
    .coverage .coverage.* htmlcov staticfiles build dist
find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
if [ "$(ls -A .services 2>/dev/null)" = .lock ]; then rm -rf .services; fi
say "Clean"
