"""Docstrings for the API reference. Ours are plain text; Sphinx expects reStructuredText.

And the reference's pages: one for each room of the package, in reading order.
"""

import pkgutil
import re
from pathlib import Path

SPECIAL = re.compile(r"([*|_\\])")


def as_paragraphs(app, what, name, thing, options, lines):
    """Rewrites the lines of a docstring in place. Sphinx calls it ("autodoc-process-docstring")."""
    lines[:] = rewritten("\n".join(lines)).split("\n")


def rewritten(text):
    """Plain text as reStructuredText that looks the same.

    Paragraphs stay paragraphs, `code` becomes code, and what is indented keeps its columns.
    """
    return "\n\n".join(block(part) for part in re.split(r"\n\s*\n", text.strip("\n")))


def block(text):
    lines = text.split("\n")
    if all(re.match(r"\s*[*-] |\s+\S", line) for line in lines) and re.match(r"\s*[*-] ", text):
        items = re.split(r"^\s*[*-] ", text, flags=re.M)[1:]
        return "\n".join("* " + inline(" ".join(item.split())) for item in items)
    if any(line.startswith(" ") for line in lines):
        return "::\n\n" + "\n".join(f"    {line}" for line in lines)
    return "\n".join(inline(line) for line in lines)


def inline(text):
    """`code` as ``code``, and every mark that reStructuredText would read as a command escaped."""
    parts = re.split(r"`([^`]+)`", text)  # words and code in turn
    return "".join(f"``{part}``" if k % 2 else SPECIAL.sub(r"\\\1", part)
                   for k, part in enumerate(parts))


def says_nothing(app, what, name, thing, skip, options):
    """True for the fields of a named tuple: Python documents them as "Alias for field number 0"."""
    return True if str(thing.__doc__).startswith("Alias for field number") else skip


# ------------------------------------------------------------------- the pages


def rooms(package):
    """["losses", "models", ...] as the package's docstring names them, in reading order."""
    found = []
    for names in re.findall(r"^    ([a-z_]+(?:, [a-z_]+)*)  +\S", package.__doc__, re.M):
        found += names.split(", ")
    return found


def modules(package, room):
    """The module of a room and those inside it: ["gantutor.data", "gantutor.data.avatars", ...].

    Without modules whose words stand beside them in an .md: exercises, which the notebooks show.
    """
    name = f"{package.__name__}.{room}"
    inside = getattr(pkgutil.resolve_name(name), "__path__", [])
    return [name, *sorted(f"{name}.{found.name}" for found in pkgutil.iter_modules(inside)
                          if not Path(found.module_finder.path, f"{found.name}.md").exists())]


def room_page(package, room):
    """The Markdown page of a room: each of its modules, with all that has a docstring."""
    parts = [f"# {room}"]
    for name in modules(package, room):
        inside = name.removeprefix(f"{package.__name__}.")
        parts += [f"## {inside}"] if "." in inside else []
        parts.append(f"```{{eval-rst}}\n.. automodule:: {name}\n```")
    return "\n\n".join(parts) + "\n"


def overview(package):
    """The Markdown page above them: the package's docstring, and the list of rooms."""
    names = rooms(package)
    return "\n".join([
        "# The package", "", "```{eval-rst}", f".. automodule:: {package.__name__}", "```", "",
        "## How the code is laid out", "", ":::{include} ../README.md",
        ':start-after: "## How the code is laid out"', ':end-before: "## Licence and citation"',
        ":::", "", "```{toctree}", ":maxdepth: 1", *names, "```", ""])
