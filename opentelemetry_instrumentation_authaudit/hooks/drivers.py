"""Running watched functions that do not end when they return: coroutine functions, generator functions, async generators.

The attempt is open only while the library's own code runs, never between the steps of a generator, where the caller runs.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from .hook import Outcome
from .watch import Driver, Run, Watch, await_run, drive_function

__all__ = ("driver_of",)


def driver_of(function: Any) -> Driver:
    """The driver for the kind of *function*."""
    if inspect.iscoroutinefunction(function):
        return drive_coroutine_function
    if inspect.isasyncgenfunction(function):
        return drive_async_generator_function
    if inspect.isgeneratorfunction(function):
        return drive_generator_function
    return drive_function


def _made(follow: Callable[..., Any], watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        running = watch.invoke(args, kwargs)
    except BaseException:
        del watch, args, kwargs
        raise
    return follow(watch, args, kwargs, running) if watch.engine.active else running


def drive_coroutine_function(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make the coroutine at once, so that wrong arguments raise where they do without us; begin when it is awaited."""
    return _made(_coroutine, watch, args, kwargs)


async def _coroutine(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], coroutine: Any) -> Any:
    try:
        run = watch.begin(args, kwargs)
    except BaseException:  # strict mode refused it
        coroutine.close()
        del args, kwargs, coroutine
        raise
    del args, kwargs
    return await (coroutine if run is None else await_run(run, coroutine))


def drive_generator_function(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As `drive_coroutine_function`, for a generator function."""
    return _made(_generator, watch, args, kwargs)


def _generator(
    watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], generator: Generator[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    run = watch.begin(args, kwargs)
    del args, kwargs
    if run is None:
        return (yield from generator)
    step, value = generator.send, None
    while True:
        run.enter()
        try:
            item = step(value)
        except StopIteration as stop:
            _end(run, Outcome(stop.value))
            return stop.value
        except BaseException as error:
            _end(run, Outcome(error=error))
            del run, generator, step, value
            raise
        run.leave()
        try:
            value = yield item
            step = generator.send
        except BaseException as thrown:  # thrown in by the caller, and meant for the generator
            step, value = generator.throw, thrown


def drive_async_generator_function(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As `drive_coroutine_function`, for an async generator function."""
    return _made(_async_generator, watch, args, kwargs)


async def _async_generator(
    watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], generator: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    run = watch.begin(args, kwargs)
    del args, kwargs
    step: Callable[[Any], Any] = generator.asend
    value: Any = None
    while True:
        if run is not None:
            run.enter()
        try:
            item = await step(value)
        except StopAsyncIteration:
            _end(run, Outcome())
            return
        except BaseException as error:
            _end(run, Outcome(error=error))
            del run, generator, step, value
            raise
        if run is not None:
            run.leave()
        try:
            value = yield item
            step = generator.asend
        except BaseException as thrown:  # thrown in by the caller, and meant for the generator
            step, value = generator.athrow, thrown


def _end(run: Run | None, outcome: Outcome) -> None:
    if run is not None:
        run.leave()
        run.end(outcome)
