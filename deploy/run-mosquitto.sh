#!/bin/sh
# Runs Mosquitto on the folder that `kaimen-cloud broker-files` wrote, and has it read the revocation
# list and its certificate again whenever the cloud, in another container, wrote new ones.
set -eu
folder=$1
# Before it reads them: what is written while it starts is new to it.
seen=$(cksum "$folder/crl.pem" "$folder/broker.pem")
mosquitto -c "$folder/mosquitto.conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(cksum "$folder/crl.pem" "$folder/broker.pem")
    if [ "$now" != "$seen" ]; then
        seen=$now
        kill -HUP "$broker"
    fi
done
wait "$broker"
