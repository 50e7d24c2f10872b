"""A site whose views ask for a second factor, and a few doors of the kind people write."""

from __future__ import annotations

from typing import Any

import django_otp
from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.core.mail.backends.base import BaseEmailBackend
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django_otp.admin import OTPAdminSite
from django_otp.models import Device, VerifyNotAllowed
from django_otp.plugins.otp_email.models import EmailDevice
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.views import LoginView

otp_admin = OTPAdminSite(OTPAdminSite.name)


def _answer(request: Any, device: Any) -> HttpResponse:
    """Remember the device in the session."""
    if device is None:
        return HttpResponse(status=int(request.POST.get("refusal", "200")))
    django_otp.login(request, device)
    return HttpResponse("verified")


def match(request: Any) -> HttpResponse:
    """Tries every device."""
    return _answer(request, django_otp.match_token(request.user, request.POST["code"]))


def verify(request: Any) -> HttpResponse:
    """Tries the device that the browser names."""
    return _answer(request, django_otp.verify_token(request.user, request.POST["device"], request.POST["code"]))


def enter(request: Any) -> HttpResponse:
    """Password and code in one request, without a form."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None or django_otp.match_token(user, request.POST["code"]) is None:
        return HttpResponse(status=401)
    login(request, user)
    return HttpResponse("in")


def set_up(request: Any) -> HttpResponse:
    """Makes a device that waits for its first code."""
    device = TOTPDevice.objects.create(user=request.user, name="phone", confirmed=False)
    return HttpResponse(device.persistent_id)


def confirm(request: Any) -> HttpResponse:
    """Takes the first code."""
    device: Any = Device.from_persistent_id(request.POST["device"])
    if not device.verify_token(request.POST["code"]):
        return HttpResponse(status=400)
    device.confirmed = True
    device.save()
    if "enter" in request.POST:
        login(request, request.user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("confirmed")


def codes(request: Any) -> HttpResponse:
    """Makes backup codes."""
    box, _ = StaticDevice.objects.get_or_create(user=request.user, defaults={"name": "backup"})
    for number in range(3):
        box.token_set.create(token=f"{request.POST['prefix']}-{number}")
    return HttpResponse("made")


def drop(request: Any) -> HttpResponse:
    """Removes every factor."""
    for device in django_otp.devices_for_user(request.user):
        device.delete()
    return HttpResponse("gone")


def send(request: Any) -> HttpResponse:
    """Mails a code."""
    return HttpResponse(EmailDevice.objects.get(user=request.user).generate_challenge())


class ClosedPost(BaseEmailBackend):
    """No server there."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError(email_messages[0].body)


class BrokenPost(BaseEmailBackend):
    """A fault of the application's own."""

    def send_messages(self, email_messages: Any) -> int:
        raise LookupError(email_messages[0].body)


class NightDevice(TOTPDevice):
    """Closed for the night, or after failures; old versions of django-otp try it like any other."""

    class Meta:
        proxy = True
        app_label = "otp_totp"

    def verify_is_allowed(self) -> tuple[bool, dict[str, Any] | None]:
        if self.name == "night":
            return False, {"error_message": "closed"}
        if self.name == "weary":
            return False, {"reason": VerifyNotAllowed.N_FAILED_ATTEMPTS, "failure_count": 3}
        return True, None


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


urlpatterns = [
    path("", home),
    path("login/", LoginView.as_view(template_name="form.html")),
    path("match/", match),
    path("verify/", verify),
    path("enter/", enter),
    path("set-up/", set_up),
    path("confirm/", confirm),
    path("codes/", codes),
    path("drop/", drop),
    path("send/", send),
    path("admin/", admin.site.urls),
    path("otp-admin/", otp_admin.urls),
]
