"""Photos and videos of stores and rooms: checked, made small, kept, served."""
