#!/usr/bin/env bash
# Run the production processes in the foreground, on DATABASE_URL and REDIS_URL (settings: .env or the environment).
#
# The release step comes first and must succeed. Ctrl-C or SIGTERM stops all of them, and so does the end of one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/setup_venv.sh run
export PATH="$VENV/bin:$PATH" PYTHONUNBUFFERED=1
# The settings read .env themselves, and let the environment win; honcho would let the file win.
honcho=(honcho --env /dev/null --procfile deploy/Procfile --app-root "$ROOT")
python -m riskportal.serve release
exec "${honcho[@]}" start web asgi worker beat
