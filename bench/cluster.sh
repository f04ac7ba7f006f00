#!/bin/bash
# SPDX-License-Identifier: ISC
# Run a program that uses cluster.c; without servers, with one of its own and two
# workers, which end with it.  usage: cluster.sh PROGRAM [--servers LIST] [ARG...]
set -eu

missing()
{
	echo "demo-cluster: no $1: apt-get install $2" >&2
	exit 2
}

program=$1
shift
[ -x "$program" ] || missing libgearman libgearman-dev
[ "${1-}" != --servers ] || exec "$program" "$@"
gearmand=$(PATH=$PATH:/usr/sbin command -v gearmand) ||
	missing gearmand gearman-job-server

pids=
trap 'kill $pids 2>/dev/null; wait' EXIT
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port, tried: gearmand does not tell which it would take for 0.
for ((try = 0; try < 10; try++)); do
	port=$((20000 + RANDOM % 10000))
	answers $port && continue
	# One attempt: only the client knows which jobs may run twice.
	"$gearmand" --listen 127.0.0.1 --port $port --job-retries 1 \
	    --log-file stderr 2>/dev/null &
	server=$!
	for ((look = 0; look < 100; look++)); do
		sleep 0.05
		kill -0 $server 2>/dev/null || break
		answers $port && break 2
	done
done
pids=$server
for worker in 1 2; do
	"$program" --worker 127.0.0.1:$port &
	pids="$pids $!"
done
"$program" --servers 127.0.0.1:$port "$@"
