#!/usr/bin/env bash
# Run the tests, with everything that they need. Arguments go to pytest.
#
# A run of all tests also demands that every branch of riskcore was taken, and is shared out to workers, since much of it
# waits: for servers, faults and seconds. A run of some tests (with arguments) says nothing about coverage and has no
# workers, which take their time to start; ARGS="-n 2 ..." has them. Tests of riskcore alone start no server: make test
# ARGS=tests/riskcore
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/need.sh python3-venv postgresql redis-server nats-server chromium-headless-shell poppler-utils
scripts/setup_venv.sh dev
if [ "$#" -eq 0 ]; then
    # Only riskcore is measured, by its own tests alone: Python's tracing costs the others half their time.
    set -- --numprocesses=3 --cov=riskcore --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered
fi
exec "$VENV/bin/python" -m pytest "$@"
