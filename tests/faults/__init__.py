"""Faults, done to real processes that send to a real OTLP server: to ours, and for `make faults` to the stock SDK's pipeline beside it."""
