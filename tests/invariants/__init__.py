"""What must always hold, one file each, with a control that shows that the test can fail."""
