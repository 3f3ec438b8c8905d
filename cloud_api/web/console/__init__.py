"""The owner's pages: all rooms live, one room under the glass, door stickers."""
