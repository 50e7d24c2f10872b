"""A site with the views of django-two-factor-auth, and a telephone exchange that may be out of order."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from two_factor.urls import urlpatterns as two_factor_urls


class Gateway:
    """Keeps what it should send; a number that ends in 9 is out of order, one in 8 breaks it."""

    sent: list[str] = []  # noqa: RUF012 -- the last code, for the story

    def send_sms(self, device: Any, token: str) -> None:
        if str(device.number).endswith("9"):
            raise ConnectionError(token)
        if str(device.number).endswith("8"):
            raise LookupError(token)
        self.sent[:] = [token]

    make_call = send_sms


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


urlpatterns = [
    path("", home, name="home"),
    path("", include(two_factor_urls)),
]
