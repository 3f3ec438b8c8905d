"""The customer's pages: find, book, pay, enter, stay."""
