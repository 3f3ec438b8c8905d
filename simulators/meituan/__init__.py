"""A simulator of Meituan and Dianping: both gates for group-buy receipts, and a relay before them."""
