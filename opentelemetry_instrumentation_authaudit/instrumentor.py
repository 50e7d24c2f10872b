"""Where listening meets telling: the instrumentor that OpenTelemetry finds, and the one place that knows both wings."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from . import config, guard
from .hooks import IDENTITY_FIELDS
from .hooks.engine import Engine, activate, deactivate
from .hooks.install import Installation, Missing
from .instrumentors.configured import HookSyntaxError, parse
from .instrumentors.registry import LIBRARIES, Library

if TYPE_CHECKING:  # the pipeline brings the OpenTelemetry SDK, which a command that only asks does not need
    from typing_extensions import Unpack

    from .pipeline.sink import Pipeline

__all__ = ("AuthAuditInstrumentor", "Health", "known_fields", "listen")


def known_fields() -> dict[str, bool]:
    """Every parameter that any library may record, and whether it is sensitive: what `include_fields` may name."""
    found: dict[str, bool] = dict.fromkeys(IDENTITY_FIELDS, True)
    for library in LIBRARIES:
        for hook in library.hooks:
            for name, sensitive in hook.params.items():
                found[name] = found.get(name, False) or sensitive
    return found


def listen(engine: Engine, libraries: Iterable[Library] = LIBRARIES, own: Iterable[str] = ()) -> Installation:
    """Put the rows of *libraries* and the configured hooks *own* in place, each when its module is imported.

    A fault in one costs that one.
    """
    installation = Installation(engine)
    with installation.together():
        for library in libraries:
            with guard.guard(f"install:{library.name}"):
                installation.add(library.hooks, library=partial(getattr, library, "label"), trigger=library.trigger)
    for spec in own:
        try:
            hook = parse(spec)
        except HookSyntaxError as error:
            guard.warn(f"hooks:{spec}", "authaudit: option hooks: %s; left out", error)
        else:
            installation.add([hook], library=lambda: "application", trigger=hook.module)
    return installation


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this process is audited, and how well."""

    active: bool
    hooked: tuple[tuple[str, str], ...] = ()
    """(library, target) of every row in place."""
    missing: tuple[Missing, ...] = ()
    """Targets that were not found."""
    errors: int = 0
    """Exceptions of ours that the guard swallowed."""


class AuthAuditInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Records every authentication event of this process.

        AuthAuditInstrumentor().instrument(ip_privacy_mode="truncate")

    Options are the keywords of `InstrumentOptions`; what is not given comes from `OTEL_CONFIG_FILE`, then from the environment.
    Called so, `instrument` raises ConfigError for options that cannot be used; under `opentelemetry-instrument` it never raises.
    """

    _instance = None  # a singleton of its own: the base class would hand out a sibling's
    configuration = config.Configuration

    _pipeline: Pipeline | None = None
    _installation: Installation | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: each library is watched when, and if, the application imports it."""
        return ()

    def instrument(self, **options: Unpack[config.InstrumentOptions]) -> None:
        """Begin to record. Raises ConfigError, naming every fault of the options at once."""
        super().instrument(**options, **({"_automatic": True} if "skip_dep_check" in options else {}))

    def _instrument(self, _automatic: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 -- a keyword, passed through the base class
        declared = options.pop(config.DECLARED, False)
        if not (declared or _automatic):
            self._begin(config.load(**self._names(), raises=True, **options))
            return
        with guard.guard("instrument"):  # an exception here would stop every instrumentor that comes after us
            self._begin(config.load(**self._names(), file=options) if declared else config.load(**self._names(), **options))

    def _begin(self, options: config.Config) -> None:
        if options.sdk_disabled:
            return
        from .pipeline.sink import Pipeline  # noqa: PLC0415

        self._pipeline = Pipeline(options, describe=self._describe)
        engine = Engine(self._pipeline, tenant_claim=options.tenant_claim)
        self._installation = listen(engine, [library for library in LIBRARIES if options.watches(library.name)], options.hooks)
        activate(engine)

    def _uninstrument(self, **_options: Any) -> None:
        installation, pipeline = self._installation, self._pipeline
        self._installation = self._pipeline = None
        if installation is not None:
            installation.remove()
            deactivate(installation.engine)
        if pipeline is not None:
            pipeline.shutdown()

    def health(self) -> Health:
        """For an application's health check: whether this process is audited, and whether anything is missing."""
        if self._installation is None:
            return Health(active=False)
        found = self._installation
        return Health(True, tuple(found.hooked), tuple(found.missing), sum(guard.errors.values()))  # noqa: FBT003

    def _describe(self) -> dict[str, Any]:
        """For `authaudit doctor`, which reads it in another process."""
        health = self.health()
        return {
            "hooked": [f"{library}: {target}" for library, target in health.hooked],
            "missing": [f"{gone.library}: {gone.target} ({gone.why})" for gone in health.missing],
            "guard_errors": dict(guard.errors),
        }

    @staticmethod
    def _names() -> dict[str, Any]:
        return {"libraries": frozenset(library.name for library in LIBRARIES), "fields": known_fields()}
