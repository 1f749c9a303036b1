#!/usr/bin/env bash
# Make sure that the named tools are on this machine, installing their Debian packages when they are missing.
#
#   need.sh postgresql redis-server nats-server chromium-headless-shell wrk make python3-venv
#
# A tool counts as present wherever it came from. Installing needs root, or sudo; without either this stops and
# names the packages.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The tool that package $1 is wanted for is here.
present() {
    case "$1" in
        postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
        chromium-headless-shell) command -v "$1" chromium chromium-browser >/dev/null ;;
        nats-server) command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ] ;; # not on everybody's PATH
        poppler-utils) command -v pdftotext >/dev/null ;;
        python3-venv) python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=()
for package in "$@"; do present "$package" || missing+=("$package"); done
[ "${#missing[@]}" -gt 0 ] || exit 0

by_hand="please install: ${missing[*]}   (Debian and Ubuntu: apt-get install ${missing[*]})"
command -v apt-get >/dev/null || die "no apt-get on this machine; $by_hand"
install=("$ROOT/scripts/apt_install.sh" "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
    "${install[@]}"
elif ! command -v sudo >/dev/null; then
    die "not root and no sudo; $by_hand"
elif [ -t 0 ]; then
    sudo "${install[@]}" || die "installing with sudo failed; $by_hand"
else
    sudo -n "${install[@]}" || die "sudo wants a password and there is no terminal to ask on; $by_hand"
fi
for package in "${missing[@]}"; do present "$package" || die "$package is installed, but its programs are not found"; done
