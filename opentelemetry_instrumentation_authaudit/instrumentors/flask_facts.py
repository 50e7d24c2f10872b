"""What the request that Flask is answering says, as far as the application has read it."""

from __future__ import annotations

from typing import Any

from .submitted import claimed

__all__ = ("current_request", "said")


def current_request() -> Any:
    """The request itself, None outside of any: the proxy is empty once it is over."""
    import flask  # noqa: PLC0415 -- the application has imported it, else this would not run

    return flask.request._get_current_object() if flask.has_request_context() else None  # type: ignore[attr-defined]  # noqa: SLF001


def said(request: Any) -> dict[str, Any]:
    """Who somebody claims to be: the field that names the account in a form or JSON body that was read; one that was left alone
    stays unread."""
    return {} if request is None else claimed(vars(request).get("form"), *getattr(request, "_cached_json", ()))
