"""A Django site: the stock login views, the admin, and a registration page."""
