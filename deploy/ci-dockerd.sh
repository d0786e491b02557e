#!/bin/sh
# Makes sure that a Docker engine answers. When none does, starts dockerd in the background, waits
# until it is ready and prints its process id; prints nothing when one was there already. So the
# caller stops exactly what was started for it:
#
#   pid=$(deploy/ci-dockerd.sh)
#   ...
#   [ -z "$pid" ] || kill "$pid"
#
# For machines and containers without systemd, as root, with Debian's docker.io installed. Where
# the kernel allows it, dockerd needs no options: bridge networks, iptables and overlay2 work.
# Two fallbacks are tried in turn when it does not come up, for sandboxes that hold back a part:
#
#   --storage-driver=vfs   the file system below offers no overlay (slower, takes more disk)
#   --iptables=false       no netfilter: published ports go through docker-proxy, and containers
#                          reach each other but not the world, which is all the demo needs
#
# Variables: DOCKERD_LOG (default: a file in TMPDIR), DOCKERD_WAIT (seconds, default 30).
set -eu

log=${DOCKERD_LOG:-${TMPDIR:-/tmp}/etude-dockerd.log}
patience=${DOCKERD_WAIT:-30}

# `docker info` exits 0 without an engine in some versions; `docker version` asks the server.
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# start OPTIONS...: true once the engine answers; the process is gone again when it does not.
start() {
	setsid dockerd "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	left=$((patience * 5))
	while [ "$left" -gt 0 ]; do
		if answers; then return 0; fi
		# An engine that gave up needs no further waiting.
		if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
		left=$((left - 1))
		sleep 0.2
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	return 1
}

if answers; then
	echo "ci-dockerd: an engine answers already" >&2
	exit 0
fi
if ! command -v dockerd >/dev/null 2>&1; then
	echo "ci-dockerd: dockerd is not installed (Debian: apt-get install docker.io)" >&2
	exit 1
fi
for options in "" "--storage-driver=vfs" "--storage-driver=vfs --iptables=false --ip6tables=false"; do
	# The list is split into words on purpose.
	# shellcheck disable=SC2086
	if start $options; then
		echo "ci-dockerd: ready, options: ${options:-none}, log: $log" >&2
		echo "$pid"
		exit 0
	fi
	echo "ci-dockerd: dockerd ${options:-without options} did not come up" >&2
done
tail -n 20 "$log" >&2
exit 1
