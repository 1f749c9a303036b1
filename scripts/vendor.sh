#!/usr/bin/env bash
# Take what browsers and documents use of others out of npm's packages.
#
#   vendor.sh   fetch the packages of each vendored.json and write their files beside it
#
# The version and the sha256 of each package stand in vendored.json; change them there, then run this.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v npm >/dev/null || die "npm is needed to fetch packages (Debian and Ubuntu: apt-get install npm)"
exec "$VENV/bin/python" -m devtools.vendoring
