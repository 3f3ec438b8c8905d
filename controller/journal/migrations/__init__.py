"""Steps that bring a journal file of any version to the present one."""
