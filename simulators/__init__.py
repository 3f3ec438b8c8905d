"""Other people's servers, stood up here: they sign, encrypt, call back late and fail as theirs do."""
