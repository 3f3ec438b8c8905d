"""WeChat Pay as a merchant meets it: API v3 with both kinds of keys, sealed notifications, bills."""
