"""What is wrong and who sees to it: raised from signals, escalated by time, resolved by themselves."""
