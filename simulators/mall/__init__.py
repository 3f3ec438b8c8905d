"""What the simulators of platforms share: deals on a shelf, vouchers sold of them, faults, an admin desk."""
