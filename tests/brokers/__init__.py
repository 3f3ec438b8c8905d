"""One contract for every broker an installation may run on: NATS, Mosquitto, a NATS cluster."""
