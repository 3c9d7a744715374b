"""Executed notebooks as pages of the site: what a reader of a page needs, and no more.

The badge goes (the page has a button), every figure gets an alternative text, and a control that
only a kernel can move becomes the picture that it shows.
"""

import copy
import re

BADGE = re.compile(r"^\[!\[Open in Colab\].*\n+", re.M)
WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
CAPTION = re.compile(r"\*+(?:Figures?\b|Tables? \d+ and figure\b)|\*\w", re.I)
LONGEST = 500  # letters of an alternative text


def page(notebook):
    """The notebook (a dict, executed) as the site shows it. The argument stays as it is."""
    made = copy.deepcopy(notebook)
    cells = made["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    cells[0]["source"] = BADGE.sub("", cells[0]["source"])
    state = made["metadata"].pop("widgets", {}).get(STATE, {}).get("state", {})
    for k, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        cell["outputs"] = [still for output in cell["outputs"] for still in stills(output, state)]
        if any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            cell["metadata"]["mystnb"] = {"image": {"alt": alternative_text(cells, k)}}
    return made


# --------------------------------------------------------------- alternative text


def plain(markdown):
    """The words of a Markdown text in one line."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`$\\]|<[^>]*>", "", text).split())


def sentences(text):
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)


def alternative_text(cells, k):
    """What the picture of cell k shows, in words: its caption, as many sentences as fit.

    The caption is the paragraph "*Figure 3. ...*" that begins the Markdown below. A picture without
    one is named after its section and the sentence above it.
    """
    below = cells[k + 1] if k + 1 < len(cells) else {"cell_type": "code"}
    if below["cell_type"] == "markdown" and CAPTION.match(below["source"]):
        caption = sentences(plain(below["source"].split("\n\n")[0]))
        told = caption[0]
        for sentence in caption[1:]:
            if len(told) + len(sentence) >= LONGEST:
                break
            told += " " + sentence
        return told
    above = "\n\n".join(cell["source"] for cell in cells[:k] if cell["cell_type"] == "markdown")
    heading = re.findall(r"^#+ (.*)$", above, re.M)[-1]
    paragraph = [text for text in above.split("\n\n") if not text.startswith(("#", "<", "$$"))][-1]
    return f"Picture in the section “{plain(heading)}”: {sentences(plain(paragraph))[-1]}"


# --------------------------------------------------------------------- controls


def stills(output, state):
    """The outputs that stand for `output` where no kernel answers: itself, if it is no control.

    state: the widgets of the notebook, {model id: model}. A progress bar leaves nothing.
    """
    if WIDGET not in output.get("data", {}):
        return [output]
    parts = list(models(output["data"][WIDGET]["model_id"], state))
    if any("Progress" in part["model_name"] for part in parts):
        return []
    words = ", ".join(f"{part['state']['description']} {value(part['state'])}" for part in parts
                      if part["state"].get("description"))
    note = (f"A still picture of a control ({words}). "
            "It moves in the notebook: download this page, or open it in Colab.")
    shown = [{"output_type": "display_data", "metadata": {}, "data": {"text/plain": note}}]
    for part in parts:
        if part["model_name"] == "OutputModel":
            shown += part["state"]["outputs"]
        for buffer in part.get("buffers", []):
            if part["model_name"] == "ImageModel" and buffer["path"] == ["value"]:
                shown.append({"output_type": "display_data", "metadata": {},
                              "data": {"image/png": buffer["data"]}})
    return shown


def models(name, state):
    """The model of this name and all that it holds, in order."""
    model = state.get(name.removeprefix("IPY_MODEL_"))
    if model:
        yield model
        for child in model["state"].get("children", []):
            yield from models(child, state)


def value(settings):
    """What a control is set to, as a reader sees it."""
    if "_options_labels" in settings:
        return settings["_options_labels"][settings["index"]]
    return settings.get("value", "")
