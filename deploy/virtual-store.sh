#!/bin/sh
# One controller with virtual boards: virtual-store.sh STATE BOARDS. Real boards need none of this:
# kaimen-edge run --state STATE with ports.yaml in STATE (docs/hardware.md).
set -eu
state=$1
boards=$2
ports=${TMPDIR:-/tmp}/ports
if [ ! -f "$state/identity.json" ]; then
    echo "This store is not enrolled yet: docs/deploy.md, 'The first store'." >&2
    exit 1
fi
kaimen-bridge virtual --config "$boards" --links "$ports" --http 127.0.0.1:0 &
bridge=$!
until [ -e "$ports/rs485-1" ]; do
    kill -0 "$bridge" || exit 1
    sleep 0.1
done
kaimen-edge run --state "$state" --port "rs485-1=$ports/rs485-1" &
edge=$!
trap 'kill -TERM "$edge" 2>/dev/null' TERM INT
wait "$edge" || true
wait "$edge" 2>/dev/null && code=0 || code=$?
kill -TERM "$bridge" 2>/dev/null || true
wait "$bridge" 2>/dev/null || true
exit "$code"
