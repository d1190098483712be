#!/bin/sh
# Installs the container engine that TestCompose starts for itself, where that can be done without asking: as root on Debian. It
# never fails: without an engine the same topology is tested as plain processes, and TestCompose says that it was skipped.
packages="docker.io docker-compose iptables iproute2 busybox-static"
limit=300 # seconds, for all of it

missing=
for tool in dockerd /usr/bin/docker docker-compose iptables ip /bin/busybox; do
	command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0

cannot() {
	printf '\n*** NO CONTAINER ENGINE: compose.yaml WILL NOT BE TESTED. Missing:%s. %s\n\n' "$missing" "$1" >&2
	exit 0
}
[ "$(id -u)" = 0 ] || cannot "Install $packages, or run this as root on Debian."
command -v apt-get >/dev/null || cannot "There is no apt-get; install what Debian calls $packages."

echo "installing for TestCompose: $packages"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive packages
timeout "$limit" sh -c 'apt-get -qq update && apt-get -qq install --yes --no-install-recommends $packages' >"$log" 2>&1 || {
	tail -n 5 "$log" >&2
	cannot "apt-get did not install $packages within $limit s."
}
rm -f "$log"
