"""`make readme`: rewrites the generated parts of README.md, CONTRIBUTING.md and docs/privacy.md, each between its markers.

`python scripts/readme.py --check` changes nothing and exits 1 where a part is out of date. `--tested`, after a good run of the tests,
first notes in `newest.txt` which versions of the watched libraries are installed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from opentelemetry_instrumentation_authaudit.config import options_table
from opentelemetry_instrumentation_authaudit.hooks import Role
from opentelemetry_instrumentation_authaudit.instrumentors import pyotp, registry
from opentelemetry_instrumentation_authaudit.instrumentors.registry import LIBRARIES, Library
from opentelemetry_instrumentation_authaudit.model.catalog import EVENTS, Default

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import privacy  # noqa: E402 -- the script beside this one

TESTED: Final = ROOT / "scripts" / "newest.txt"
_PART: Final = re.compile(r"(<!-- (\w+): made by `make readme` -->\n).*?(<!-- end -->)", re.DOTALL)
_RECORDED: Final = {Default.ALL: "yes", Default.FAILURES: "failures", Default.OFF: "no"}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def libraries() -> str:
    """Which libraries are watched, which versions were tested, and what they tell."""
    newest = dict(line.split("==") for line in TESTED.read_text(encoding="utf-8").split())
    return table(
        ("library", "tested", "name in options", "what it tells"),
        ([_named(x), _tested(x, newest), f"`{x.name}`", _tells(x)] for x in sorted(LIBRARIES, key=_alphabetical)),
    )


def _alphabetical(library: Library) -> str:
    return library.distributions[0].lower()


def _tested(library: Library, newest: dict[str, str]) -> str:
    """Oldest and newest version of which the stories were run; other ones from the oldest on are watched too."""
    found = next((newest[name] for name in library.distributions if name in newest), "")
    return f"{library.versions.removeprefix('>=')} – {found}"


def note_tested() -> None:
    """Note the installed versions of the watched libraries."""
    lines = sorted(f"{found[0]}=={found[1]}" for found in (library.installed for library in LIBRARIES) if found)
    TESTED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _named(library: Library) -> str:
    return " or ".join(library.distributions)


def _tells(library: Library) -> str:
    events = {hook.event for hook in library.hooks if hook.event}
    if events:
        return ", ".join(f"`{name}`" for name in EVENTS if name in events)
    if any(hook.role is Role.EVIDENCE for hook in library.hooks):
        return "why a sign-in failed"
    return "the request"


def blind() -> str:
    """What cannot be seen, library by library."""
    return "\n".join(f"- **{_named(x)}**: {' '.join(x.blind)}" for x in sorted(LIBRARIES, key=_alphabetical) if x.blind)


def events() -> str:
    """Every event, its action and whether it is recorded by default."""
    rows = ((f"`{e.name}`", ", ".join(f"`{a}`" for a in e.actions), _RECORDED[e.default], e.summary) for e in EVENTS.values())
    return table(("event", "action", "recorded", "meaning"), rows)


def registry_line() -> str:
    """The line of the worked example."""
    line = next(line for line in inspect.getsource(registry).splitlines() if 'Library("pyotp"' in line)
    return f"```python\n{line.strip()}\n```"


def library_file() -> str:
    """The file of the worked example."""
    return f"```python\n{inspect.getsource(pyotp).strip()}\n```"


PARTS: Final[dict[str, Callable[[], str]]] = {
    "options": options_table,
    "libraries": libraries,
    "blind": blind,
    "events": events,
    "line": registry_line,
    "file": library_file,
    **privacy.PARTS,
}


def renewed(text: str) -> str:
    """*text* with every generated part made anew."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


def main(arguments: list[str]) -> int:
    """Rewrite, or only check; 1 if a check found something to do."""
    if "--tested" in arguments:
        note_tested()
    stale = []
    for name in ("README.md", "CONTRIBUTING.md", "docs/privacy.md"):
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if renewed(text) != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(renewed(text), encoding="utf-8")
    for name in stale:
        print(f"{name} {'is out of date: make readme' if '--check' in arguments else 'renewed'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
