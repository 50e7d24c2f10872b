"""A Django application whose tables hold the clients and tokens of an Authlib server."""
