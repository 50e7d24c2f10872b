"""Every option, once: what it is called, what it may be, what it means. Read once, frozen, and the only reader of the
environment."""

from .declarative import DECLARED, Configuration
from .load import ConfigError, load
from .options import OPTIONS, InstrumentOptions, Option, option, options_table
from .standard import otlp_endpoint
from .values import (
    Config,
    Exporter,
    Fsync,
    IdentityPrivacy,
    IpPrivacy,
    OnFull,
    RequestAuth,
)

__all__ = (
    "DECLARED",
    "OPTIONS",
    "Config",
    "ConfigError",
    "Configuration",
    "Exporter",
    "Fsync",
    "IdentityPrivacy",
    "InstrumentOptions",
    "IpPrivacy",
    "OnFull",
    "Option",
    "RequestAuth",
    "load",
    "option",
    "options_table",
    "otlp_endpoint",
)
