"""Alipay as a merchant meets it: one gateway, RSA2 both ways, notifications as forms, zipped bills."""
