"""Parts of a running installation are killed, cut off, lied to and put back, and the job goes on."""
