"""A library of our own making: every shape of function that real libraries have, with nothing else in the way."""

import asyncio
import functools


class Refused(Exception):
    """The library's own word for a failure."""


def check(password):
    """Tell whether a password is right: the low-level check."""
    return password == "ok"


def authenticate(user, password):
    """Return the user, or None."""
    return user if check(password) else None


async def aauthenticate(user, password, spawn=False):
    """As `authenticate`; *spawn* leaves a task behind that outlives the call."""
    if spawn:
        asyncio.get_running_loop().create_task(_later())
    await asyncio.sleep(0)
    return user if check(password) else None


async def _later():
    await asyncio.sleep(0.02)
    return authenticate("late", "no")


def login(user, password=None):
    """Make a session."""
    return True


def logout(user):
    """End a session."""
    return True


def outer(user, password):
    """Enclose `authenticate`."""
    return authenticate(user, password)


def raises(user, error):
    """Raise what it is given."""
    raise error


def register(user, password):
    """Create an account, and sign in at once."""
    login(user)
    return user


def note(user):
    """Say something about the attempt around it."""
    return False


def authenticate_with_note(user, password):
    """A check that says why it refused."""
    note(user)
    return None


def _decorated(function):
    def inner(*args):
        return function(*args)

    return inner


@_decorated
async def from_plain(user):
    """A coroutine function hidden behind a plain decorator."""
    await asyncio.sleep(0)
    if user == "bad":
        raise Refused
    return user


def steps(user):
    """A generator: it authenticates between its first and its second item."""
    got = yield "first"
    authenticate(user, got)
    try:
        yield "second"
    except Refused:
        yield "caught"
    return user


async def asteps(user):
    """As `steps`, asynchronous."""
    got = yield "first"
    authenticate(user, got)
    yield "second"


class Service:
    """Methods of every kind."""

    def __init__(self, name="svc"):
        self.name = name

    def plain(self, user):
        """A plain method."""
        return user

    async def coroutine(self, user):
        """A coroutine method."""
        return user

    @classmethod
    def of_class(cls, user):
        """A class method."""
        return (cls.__name__, user)

    @staticmethod
    def static(user):
        """A static method."""
        return user

    def overridden(self, user):
        """A method that subclasses override."""
        return f"base:{user}"

    def inherited(self, user):
        """A method that `Child` inherits."""
        return user


class Child(Service):
    """Overrides one method, inherits another."""

    def overridden(self, user):
        """Override without calling super."""
        return f"child:{user}"


def kept(user):
    """A function with attributes, as decorators leave them."""
    return user


kept.mark = "set by a decorator"
wrapped_kept = functools.wraps(kept)(lambda *a: kept(*a))
