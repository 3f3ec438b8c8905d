"""How boards are spoken to: frames out, frames in, no ports and no threads."""
