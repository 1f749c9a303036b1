#!/usr/bin/env bash
# Lock requirements*.in into requirements*.txt: the newest versions that are allowed, with the hashes of every file
# published for them, for the oldest Python that we support (what only that one needs does no harm on a newer one).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/setup_venv.sh dev
lock() {
    say "Locking $1.in"
    # No configuration of this machine gets in: the result must be the same everywhere, and name no address.
    env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
        "$VENV/bin/uv" pip compile --quiet --no-config --no-header --python-version 3.11 --generate-hashes \
        --upgrade "$1.in" --output-file "$1.txt"
    sed -i "1i # Locked by \`make lock\` from $1.in: every version, with the hash of every file published for it." "$1.txt"
}
lock requirements
lock requirements-dev
