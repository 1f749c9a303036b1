# Shared by the scripts beside it: `. "$(dirname "$0")/lib.sh"`. Sets ROOT and goes there.
# shellcheck shell=bash
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
cd "$ROOT"

# Say one line of progress. On standard error, so that standard output stays the tools' own.
say() { printf '==> %s\n' "$*" >&2; }

# Stop with an error that tells what to do.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
