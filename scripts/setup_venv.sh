#!/usr/bin/env bash
# Make .venv hold exactly what the locked requirements ask for.
#
#   setup_venv.sh run   what running needs (requirements.txt)
#   setup_venv.sh dev   the same and what developing needs (requirements-dev.txt)
#
# Does nothing when the stamp of the last installation still matches the requirements file. The environment is
# made anew when there is none, or when it belongs to another Python or to another place (a moved checkout).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

level="${1:-run}"
case "$level" in run | dev) ;; *) die "usage: setup_venv.sh run|dev" ;; esac

# Two `make` at once would install into one environment: the second waits, then finds everything done.
if command -v flock >/dev/null; then
    exec 9>"$ROOT/.venv.lock"
    flock 9
fi

# The first Python on this machine that is new enough and can make environments. The distribution's own comes first:
# one that is built with its library apart, as version managers often do, takes a fifth more time for each check.
find_python() {
    local candidate too_old=""
    for candidate in /usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14; do
        command -v "$candidate" >/dev/null || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            too_old="$candidate"
        elif "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    [ -z "$too_old" ] || die "Python 3.11 or newer is needed; $too_old is $("$too_old" -V 2>&1)"
    die "Python 3.11 or newer with venv is needed. On Debian: apt-get install python3 python3-venv"
}

# The environment works, and its scripts point into this checkout.
usable() {
    [ -x "$VENV/bin/python" ] &&
        [ "$(cat "$VENV/.stamp-place" 2>/dev/null)" = "$VENV" ] &&
        "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

make_environment() {
    local python
    python="$(find_python)"
    say "Making .venv with $("$python" -V)"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
    # The repository is importable from every command of the environment (pytest, mypy, honcho), wherever it starts.
    "$VENV/bin/python" - "$ROOT" <<'PY'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "riskportal.pth").write_text(sys.argv[1] + "\n")
PY
    printf '%s' "$VENV" >"$VENV/.stamp-place"
}

# install FILE: install FILE unless its stamp says that exactly this text is installed already.
install() {
    local file="$1" stamp="$VENV/.stamp-$1" log="$VENV/pip.log" want
    want="$(sha256sum <"$file")"
    [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || return 0
    say "Installing $file ($(grep -c '==' "$file") packages; the whole log is in .venv/pip.log)"
    rm -f "$stamp"
    # pip tells much: pass on a line for each package, keep the rest for when it fails.
    if ! "$VENV/bin/python" -m pip install --require-hashes --disable-pip-version-check --no-input \
        --progress-bar off -r "$file" 2>&1 | tee "$log" |
        sed -un -e 's/^Collecting \([^ ]*\).*/    \1/p' -e 's/^Installing collected packages:.*/    unpacking/p' >&2; then
        tail -n 25 "$log" >&2
        die "$file could not be installed; see above. Nothing else was changed, so it is safe to try again."
    fi
    printf '%s' "$want" >"$stamp"
}

if ! usable; then make_environment; fi
install requirements.txt
if [ "$level" = dev ]; then install requirements-dev.txt; fi
