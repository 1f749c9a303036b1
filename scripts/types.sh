#!/usr/bin/env bash
# Check the types. mypy's Django plugin reads the settings: they get an environment of their own, so that the check
# says the same on every machine and leaves no data directory behind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

unset REDIS_URL MARKET_REDIS_URL NATS_URL
for name in $(compgen -e RISK_ || true); do unset "$name"; done
export RISK_ENV_FILE=/dev/null DATABASE_URL=sqlite:///unused
RISK_SECRET_KEY="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
export RISK_SECRET_KEY
exec "$VENV/bin/mypy" "$@"
