"""UnionPay's online gateway as merchants and card holders meet it. See README.md."""
