"""The house rules: no import points upward, files of one sitting, names that are only names.

They are read off the source, imports inside functions included.
"""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import gantutor
from gantutor.data import AVATARS, DIAL, FACES, INK, MONOCHROMES, RETRO
from gantutor.recipes import FURTHER, LADDER, RECIPES

ROOT = Path(gantutor.__file__).parent.parent
PACKAGE = ROOT / "gantutor"
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
           for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}

# Every room of the house from the ground floor up: it imports of those before it, and of itself.
# gantutor/__init__.py stands under all of them and imports `machine` alone. Its `load` imports
# `portable` when somebody calls it.
ORDER = ["saving", "interrupts", "parallel", "drawings", "losses", "models", "autoencoders", "vgg",
         "ramps", "methods", "state", "machine", "graphs", "training", "official", "portable",
         "data", "evaluate", "rows", "recipes", "added", "comparison", "runs", "faults", "show",
         "figures", "own", "widgets", "check", "pictures", "labs", "__main__"]
COURSE = ["losses", "models", "autoencoders", "vgg", "methods", "training"]  # in reading order
METHODS = ["direct", "perceptual", "cyclegan", "relatives", "stargan", "common_space", "dtn",
           "supervised"]


def module_of(file):
    """"methods/direct.py" -> "gantutor.methods.direct"; "data/__init__.py" -> "gantutor.data"."""
    return ".".join(["gantutor", *Path(file).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_of(file): file for file in SOURCES}


def imported(file):
    """The modules of gantutor that a file names in its imports, wherever these stand."""
    package = ".".join(["gantutor", *Path(file).parent.parts])
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base
                     for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "gantutor")


def room(module):
    """"gantutor.methods.direct" -> "methods"; the package itself is ""."""
    return (module.split(".") + [""])[1]


# -------------------------------------------------------------------- imports


def test_every_module_has_its_place_in_the_house():
    assert {room(module) for module in MODULES} - {""} == set(ORDER)


def test_no_import_points_upward():
    upward = [f"{module_of(file)} imports {other}" for file in SOURCES for other in imported(file)
              if room(module_of(file)) and room(other)
              and ORDER.index(room(other)) > ORDER.index(room(module_of(file)))]
    assert upward == []
    assert {room(other) for other in imported("__init__.py")} <= {"machine", "portable"}


def test_no_circle_of_imports():
    graph = {module_of(file): {other for other in imported(file) if other != "gantutor"}
             for file in SOURCES}
    tuple(TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_every_import_of_the_package_names_something_that_is_there():
    assert {other for file in SOURCES for other in imported(file)} <= set(MODULES)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """Also IPython, which comes along with ipywidgets.

    What is imported in a `try` or a `with suppress(ImportError)` is optional.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w-]+", text)[0].lower() for text in project["dependencies"]}
    found, optional = set(), set()
    for tree in TREES.values():
        inside = {child for node in ast.walk(tree) if isinstance(node, ast.Try | ast.With)
                  for statement in node.body for child in ast.walk(statement)}
        for node in ast.walk(tree):
            modules = ([alias.name for alias in node.names] if isinstance(node, ast.Import) else
                       [node.module] if isinstance(node, ast.ImportFrom) and not node.level else [])
            (optional if node in inside else found).update(m.split(".")[0] for m in modules)
    called = {"PIL": "pillow", "IPython": "ipython"}
    found = {called.get(name, name) for name in found - sys.stdlib_module_names} - {"gantutor"}
    assert found == needed


# ---------------------------------------------------------------------- sizes


def lines(file):
    return len(SOURCES[file].splitlines())


def test_a_file_is_330_lines_at_most():
    assert {file: lines(file) for file in SOURCES if lines(file) > 330} == {}


def test_the_course_is_read_in_one_sitting():
    course = {file: lines(file) for file in SOURCES if room(module_of(file)) in COURSE}
    assert len(course) == 5 + 1 + len(METHODS)
    assert sum(course.values()) < 2100, course


def test_the_door_names_the_course_in_reading_order():
    door = ast.get_docstring(TREES["__init__.py"])
    assert {file.split("/")[1] for file in SOURCES if file.startswith("methods/")} == {
        "__init__.py", *(f"{name}.py" for name in METHODS)}
    places = [re.search(rf"\b{name}\b", door) for name in
              [*COURSE[:5], *METHODS, *COURSE[5:]]]
    assert all(places), "gantutor/__init__.py: a module of the course is not named"
    starts = [match.start() for match in places]
    assert starts == sorted(starts)
    for name in ORDER:  # and the laboratory is named as well
        assert name == "__main__" or re.search(rf"\b{name}\b", door), name


def test_nobody_has_to_say_which_room_it_is():
    saying = [file for file, text in SOURCES.items() if re.search(r"\broom:", text, re.I)]
    assert saying == []


# ------------------------------------------------------- names are only names

PACKS = {"AVATARS": AVATARS, "FACES": FACES, "RETRO": RETRO, "INK": INK,
         "MONOCHROMES": MONOCHROMES}
NAMES = {*RECIPES, *LADDER, *FURTHER, *(pack.name for pack in (*PACKS.values(), *DIAL.values()))}
PARSING = {"startswith", "endswith", "partition", "rpartition", "split", "rsplit", "removeprefix",
           "removesuffix"}
WITH_NAMES = {"recipes.py", "runs.py", "__main__.py", "evaluate/__init__.py", "evaluate/judges.py",
              "evaluate/edits.py", "data/packs.py"}  # where `name` is that of a recipe or a pack


def strings(node):
    """The string constants that a comparison or a pattern compares with."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return [text for item in node.elts for text in strings(item)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_nothing_is_compared_with_the_name_of_a_pack_or_a_recipe():
    found = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            compared = [*strings(node.left), *(s for c in node.comparators for s in strings(c))] \
                if isinstance(node, ast.Compare) else \
                strings(node.value) if isinstance(node, ast.MatchValue) else []
            found += [f"{file}:{node.lineno}: {text!r}" for text in compared if text in NAMES]
    assert found == []


def test_no_pack_is_asked_which_one_it_is():
    """No `if pack ==`, `pack is`, `pack in`, `pack.name ==`, `match pack`."""
    def is_pack(node):
        return (isinstance(node, ast.Name) and node.id == "pack") or (
            isinstance(node, ast.Attribute) and node.attr == "name" and is_pack(node.value)) or (
            isinstance(node, ast.Name) and node.id in PACKS)

    found = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
            elif isinstance(node, ast.Match):
                sides = [node.subject]
            else:
                continue
            found += [f"{file}:{node.lineno}" for side in sides if is_pack(side)]
    assert found == []


def test_no_name_of_a_recipe_a_rung_or_a_pack_is_taken_apart():
    """In `runs` the name of a *file* is: NAME_SEED.safetensors, below checkpoints/, not hidden.

    A pack divides its images: `pack.split(number)` is no string's split.
    """
    files = {"Path(file).stem.rpartition", "file.startswith", "p.name.startswith"}
    images = {call.func for tree in TREES.values() for call in ast.walk(tree)
              if isinstance(call, ast.Call) and ast.unparse(call.func) == "pack.split"
              and len(call.args) == 1 and isinstance(call.args[0], ast.Name)}
    found = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in PARSING:
                whose, called = ast.unparse(node.value), ast.unparse(node)
                if node not in images and (
                        re.search(r"\b(recipe|rung|pack)\b", whose)
                        or (file in WITH_NAMES and called not in files)):
                    found.append(f"{file}:{node.lineno}: {called}")
            if isinstance(node, ast.Subscript) and file in WITH_NAMES and ast.unparse(
                    node.value) in ("name", "pack.name") and not isinstance(node.slice, ast.Name):
                found.append(f"{file}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


# ---------------------------------------------------------------------- tests


def test_tests_mirror_the_package():
    """pytest needs one name for one file in the whole tree."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    names = [path.name for path in tests]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
    rooms = {path.parent.relative_to(ROOT / "tests").as_posix() for path in tests}
    assert rooms <= {".", *(path.parent.relative_to(PACKAGE).as_posix()
                            for path in PACKAGE.rglob("__init__.py"))}
    assert not list((ROOT / "tests").rglob("__init__.py"))
