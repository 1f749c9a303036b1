#!/usr/bin/env bash
# Run the production processes in the foreground, on DATABASE_URL and REDIS_URL (settings: .env or the environment).
# With NATS_URL the gateway and the feeds are among them.
#
# The release step comes first and must succeed. Ctrl-C or SIGTERM stops all of them, and so does the end of one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/setup_venv.sh run
export PATH="$VENV/bin:$PATH" PYTHONUNBUFFERED=1
# The settings read .env themselves, and let the environment win; honcho would let the file win.
honcho=(honcho --env /dev/null --procfile deploy/Procfile --app-root "$ROOT")
python -m riskportal.serve release
roles=(web asgi live worker beat)
if DJANGO_SETTINGS_MODULE=riskportal.settings python -c \
    'import sys; from django.conf import settings; sys.exit(not settings.NATS_URL)'; then roles+=(gateway feeds); fi
exec "${honcho[@]}" start "${roles[@]}"
