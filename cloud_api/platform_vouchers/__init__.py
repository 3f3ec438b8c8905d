"""Vouchers that other platforms sold (Douyin, Meituan, Dianping): each verified there once, used here once."""
