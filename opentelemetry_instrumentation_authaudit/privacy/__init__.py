"""What may leave: addresses, identities, secrets. Pure functions between the raw facts and anything durable."""
