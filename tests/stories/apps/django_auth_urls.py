"""Stock views and a few of the kind people write, sync and async."""

from __future__ import annotations

from typing import Any

import django
from django.contrib import admin
from django.contrib.auth import authenticate, get_user_model, login, logout, views
from django.contrib.auth.forms import PasswordChangeForm, PasswordResetForm, SetPasswordForm, UserCreationForm
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path

if django.VERSION >= (5,):
    from django.contrib.auth import aauthenticate, alogin, alogout

BACKEND = "django.contrib.auth.backends.ModelBackend"


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


def token_api(request: HttpRequest) -> HttpResponse:
    """Checks credentials and starts no session; `answer` says how it ends."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if "crash" in request.POST:
        raise RuntimeError
    return HttpResponse(status=int(request.POST.get("answer", "200" if user else "401")))


def crash_after_login(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    login(request, user)
    raise RuntimeError


def sign_up(request: HttpRequest) -> HttpResponse:
    form: Any = UserCreationForm(request.POST)
    if form.is_valid():
        login(request, form.save(), backend=BACKEND)
        return HttpResponse("welcome")
    return HttpResponse(form.errors.as_json())


def create(request: Any) -> HttpResponse:
    """An endpoint that creates accounts, without a form; not for users without rights."""
    if request.user.is_authenticated and not request.user.is_staff:
        return HttpResponse(status=403)
    users: Any = get_user_model().objects
    users.create_user(request.POST["username"], password=request.POST.get("password"))
    return HttpResponse("created")


def new_password(request: HttpRequest) -> HttpResponse:
    """An endpoint that sets a password, without a form; of somebody else if it says whose."""
    user = request.user
    if str(user.pk) != request.POST["pk"]:
        user = get_user_model().objects.get(pk=request.POST["pk"])
    user.set_password(request.POST["password"])
    user.save()
    return HttpResponse("set")


def first_password(request: Any) -> HttpResponse:
    """Somebody who signed up through a provider sets a first password."""
    form = SetPasswordForm(request.user, request.POST)
    form.is_valid()
    form.save()
    return HttpResponse("set")


def settings(request: Any) -> HttpResponse:
    """Makes the form a second time to show it (as Wagtail's account page does); or tries several passwords at once."""
    guesses = request.POST.getlist("guess")
    batch = [{**request.POST.dict(), "old_password": guess} for guess in guesses] or [request.POST] * 2
    return HttpResponse(str([PasswordChangeForm(request.user, data).is_valid() for data in batch]))


def confirm(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.check_password(request.POST["password"])))


def leave(request: Any) -> HttpResponse:
    """Signs out although the sessions cannot be reached any more."""

    def unreachable() -> None:
        raise ConnectionError

    request.session.flush = unreachable
    logout(request)
    return HttpResponse("never said")


async def async_in(request: HttpRequest) -> HttpResponse:
    user = await aauthenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return HttpResponse(status=401)
    await alogin(request, user)
    return HttpResponse("in")


async def async_out(request: HttpRequest) -> HttpResponse:
    await alogout(request)
    return HttpResponse("out")


def _view(view: Any, **options: Any) -> Any:
    return view.as_view(template_name="form.html", success_url="/", **options)


class QueuedResetForm(PasswordResetForm):
    """Hands mails to a queue that is away."""

    def send_mail(self, subject_template_name: Any, email_template_name: Any, context: Any, *more: Any, **named: Any) -> None:
        raise ConnectionRefusedError


RESET = {"email_template_name": "mail.txt", "subject_template_name": "subject.txt"}
urlpatterns = [
    path("", home),
    path("login/", views.LoginView.as_view(template_name="form.html", redirect_authenticated_user=True)),
    path("logout/", views.LogoutView.as_view(template_name="form.html")),
    path("password/", _view(views.PasswordChangeView)),
    path("reset/", _view(views.PasswordResetView, **RESET)),
    path("queued-reset/", _view(views.PasswordResetView, form_class=QueuedResetForm, **RESET)),
    path("reset/<uidb64>/<token>/", _view(views.PasswordResetConfirmView)),
    path(
        "enter/<uidb64>/<token>/", _view(views.PasswordResetConfirmView, post_reset_login=True, post_reset_login_backend=BACKEND)
    ),
    path("token/", token_api),
    path("crash/", crash_after_login),
    path("sign-up/", sign_up),
    path("create/", create),
    path("new-password/", new_password),
    path("first-password/", first_password),
    path("settings/", settings),
    path("confirm/", confirm),
    path("leave/", leave),
    path("async/in/", async_in),
    path("async/out/", async_out),
    path("api/", include([re_path(r"^v(?P<version>\d)/token/$", lambda request, version: token_api(request))])),
    path("admin/", admin.site.urls),
]
