"""Speaks to hardware: buses, protocols, virtual boards; knows registers and frames, no bookings."""
