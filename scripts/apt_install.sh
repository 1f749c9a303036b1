#!/usr/bin/env bash
# Install Debian packages, as root, without starting their servers. Called by need.sh.
#
# Debian starts a database server as soon as it is installed. We want the programs only: our servers are private, on
# their own ports. So for the time of the installation a policy-rc.d refuses to start PostgreSQL, Redis, NATS and a D-Bus
# that Chromium brings (whatever policy was there goes on answering for everything else), no first PostgreSQL cluster is made, and afterwards a
# Redis or NATS that we brought does not start at boot either. Servers that were here before are not touched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || die "apt_install.sh needs root"

policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-riskportal
cluster_dir=/etc/postgresql-common/createcluster.d
cluster_conf="$cluster_dir/zz-riskportal.conf"
redis_was_here="$(command -v redis-server || true)"
nats_was_here="$(command -v nats-server || true)"
dbus=""
if [ ! -S /run/dbus/system_bus_socket ]; then dbus=' | *" dbus"*'; fi

# One installation at a time: the second would take the first one's policy for the machine's own. (apt gets no hold of
# the lock, or a daemon that it starts would keep it.)
exec 8>/run/riskportal-apt.lock
flock 8

restore() {
    if [ -e "$saved" ] || [ -L "$saved" ]; then
        mv -f "$saved" "$policy"
    elif grep -qs 'riskportal: temporary' "$policy"; then
        rm -f "$policy"
    fi
    rm -f "$cluster_conf"
    rmdir --ignore-fail-on-non-empty "$cluster_dir" /etc/postgresql-common 2>/dev/null || true
}
restore # what an installation that was killed may have left
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved"; fi
cat >"$policy" <<SH
#!/bin/sh
# riskportal: temporary, removed again when the installation ends.
case " \$* " in
    *" redis"* | *" postgresql"* | *" nats"*$dbus) exit 101 ;;
esac
if [ -x "$saved" ]; then exec "$saved" "\$@"; fi
exit 0
SH
chmod 755 "$policy"
mkdir -p "$cluster_dir"
printf 'create_main_cluster = false\n' >"$cluster_conf"

export DEBIAN_FRONTEND=noninteractive
say "Fetching the package lists"
apt-get update -qq </dev/null >&2 8>&- || say "The lists could not be refreshed; going on with those that are here"
# Ubuntu has no headless shell alone.
packages=()
for package in "$@"; do
    if [ "$package" = chromium-headless-shell ] && ! apt-cache show "$package" >/dev/null 2>&1; then package=chromium-browser; fi
    packages+=("$package")
done
say "Installing ${packages[*]}"
log="$(mktemp)"
trap 'rm -f "$log"; restore' EXIT
# The lock of dpkg may be held by an unattended upgrade: wait for it. Of all that apt says, pass on a line a package.
if ! apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "${packages[@]}" </dev/null 2>&1 8>&- | tee "$log" |
    sed -un 's/^Unpacking \([^ ]*\).*/    \1/p' >&2; then
    tail -n 25 "$log" >&2
    die "apt-get could not install ${packages[*]}; see above"
fi

if [ -z "$redis_was_here" ] && [ -d /run/systemd/system ] && command -v redis-server >/dev/null; then
    systemctl disable --quiet redis-server.service || true
fi
if [ -z "$nats_was_here" ] && [ -d /run/systemd/system ] && command -v nats-server >/dev/null; then
    systemctl disable --quiet nats-server.service || true
fi
