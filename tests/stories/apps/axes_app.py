"""A site that axes guards, also where a view asks for it."""

from __future__ import annotations

from typing import Any

from axes.decorators import axes_dispatch, axes_form_invalid
from axes.utils import reset, reset_request
from django.contrib.auth import authenticate
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator


class GuardedLoginView(LoginView):
    """Asks axes before it looks at a form that was no good."""

    @method_decorator(axes_form_invalid)
    def form_invalid(self, form: Any) -> HttpResponse:
        return super().form_invalid(form)


def lift(request: HttpRequest) -> HttpResponse:
    """An administrator lifts locks: of a name, of an address, or all."""
    given = {name: request.POST[name] for name in ("username", "ip") if name in request.POST}
    return HttpResponse(str(request.user.pk) + str(reset(**given)))


def lift_mine(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(reset_request(request)))


def api(request: Any) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    return HttpResponse(status=200 if user else 401)


def forbid(*_args: Any, **_named: Any) -> None:
    """A receiver that stops everything, as the documentation of axes shows it."""
    raise PermissionDenied("locked")


urlpatterns = [
    path("login/", LoginView.as_view(template_name="form.html")),
    path("guarded/", axes_dispatch(LoginView.as_view(template_name="form.html"))),
    path("asking/", GuardedLoginView.as_view(template_name="form.html")),
    path("api/", api),
    path("lift/", lift),
    path("lift-mine/", lift_mine),
]
