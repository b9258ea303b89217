"""Who may ask what: API keys with scopes, and the addresses that the service may listen on.

keys          the keys of the settings, and what the caller's is for
followed_keys the same, as the file has them now
new_key       a key that nobody had before, and its hash
listening     which addresses need keys
admin_server  the admin routes, on a port of their own
"""
