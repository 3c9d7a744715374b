"""Writes the repository's address of pyproject.toml into badges and setup cells.

    python -m gantutor.badges

Room: notebooks. The address stands once, under [project.urls]; until it is known it reads
OWNER/gantutor.
"""

import re
import tomllib
from pathlib import Path

ADDRESS = re.compile(r"github(?P<dot>\.com)?/[\w.-]+/gantutor")


def repository(root):
    """"owner/name" from `root`/pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return "/".join(project["urls"]["Repository"].rstrip("/").split("/")[-2:])


def rewrite(text, name):
    """`text` with every address of this repository (github.com/... and Colab's) set to `name`."""
    return ADDRESS.sub(lambda match: f"github{match['dot'] or ''}/{name}", text)


def main(root=None):
    root = Path(root or Path(__file__).parent.parent)
    name = repository(root)
    for path in [root / "README.md", *sorted((root / "notebooks").glob("*.ipynb"))]:
        old = path.read_text(encoding="utf-8")
        new = rewrite(old, name)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(root)}: now {name}")


if __name__ == "__main__":
    main()
