#!/bin/sh
# Runs one NATS node on its folder, and has it read the list of users and its certificate again
# whenever the cloud, in another container, wrote new ones.
set -eu
folder=$1
# Before it reads them: what is written while it starts is new to it.
seen=$(cksum "$folder/users.conf" "$folder/broker.pem")
nats-server -c "$folder/nats.conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(cksum "$folder/users.conf" "$folder/broker.pem")
    if [ "$now" != "$seen" ]; then
        seen=$now
        kill -HUP "$broker"
    fi
done
wait "$broker"
