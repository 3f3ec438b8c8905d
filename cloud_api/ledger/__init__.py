"""The books: double entry in fen, append-only, from which every figure about money is derived (I9)."""
