"""What the simulators of other people's payment services share: books, faults, messages, a phone page."""
