"""Who a person is: phone, code, login."""
