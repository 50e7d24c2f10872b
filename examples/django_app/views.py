"""A home page that says who is signed in, and a registration page."""

from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.views.generic import CreateView


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Hello {request.user.get_username() or 'stranger'}", content_type="text/plain")


class RegistrationForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "email")


class Register(CreateView):
    form_class = RegistrationForm
    template_name = "form.html"
    success_url = "/accounts/login/"
