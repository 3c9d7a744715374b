"""Opens every page of the site in headless Chromium, as a phone without network would.

    python docs/check.py build/site

The pages are read from disk. Reported are: console errors, requests to anywhere else, links and
anchors that lead nowhere, pictures that are not there or have no alternative text, equations that
are not drawn, and what sticks out of a screen of 390 px.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urldefrag

PHONE = {"width": 390, "height": 844}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")

# What is wrong on the page that is open, and what it links to.
LOOK = """() => {
  const problems = [], article = document.querySelector('main') || document.body;
  const scrolls = element => {
    for (let e = element; e && e !== document.body; e = e.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  for (const e of article.querySelectorAll('*')) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const hidden = !box.width || style.visibility === 'hidden' || e.closest('mjx-assistive-mml');
    if (!hidden && box.right > innerWidth + 1 && box.left < innerWidth && !scrolls(e))
      problems.push(`sticks out to ${Math.round(box.right)} px: <${e.localName} class="`
                    + `${e.getAttribute('class') || ''}"> ${e.textContent.trim().slice(0, 40)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth)
    problems.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const image of document.images) {
    if (!image.complete || !image.naturalWidth) problems.push(`no picture: ${image.src}`);
    if (!image.alt.trim() && !image.closest('[aria-hidden=true], button, a.dropdown-item'))
      problems.push(`no alternative text: ${image.src.split('/').pop()}`);
  }
  for (const svg of article.querySelectorAll('svg[role=img]:not(.svg-inline--fa)'))
    if (!svg.querySelector('title, desc') && !svg.getAttribute('aria-label'))
      problems.push('a drawing without a description');
  for (const math of article.querySelectorAll('.math')) {
    const drawn = math.querySelector('mjx-container');
    if (!drawn || drawn.querySelector('mjx-merror'))
      problems.push(`not drawn: ${math.textContent.slice(0, 60)}`);
  }
  return {problems, links: [...document.links].map(a => a.href),
          anchors: [...document.querySelectorAll('[id], a[name]')].map(e => e.id || e.name),
          equations: article.querySelectorAll('mjx-container').length};
}"""


def inspect(site):
    """[(page, problem)] of all pages below the folder `site`, and how many equations they draw."""
    from playwright.sync_api import sync_playwright

    site, found, links, anchors, equations = site.resolve(), [], defaultdict(set), {}, 0
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=PHONE)
        page.on("console", lambda said: said.type == "error" and found.append((at, said.text)))
        page.on("pageerror", lambda error: found.append((at, str(error))))
        page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:"))
                or found.append((at, f"asks {request.url}")))
        for path in sorted(site.rglob("*.html")):
            at = path.relative_to(site).as_posix()
            page.goto(path.as_uri(), wait_until="load")
            page.evaluate("() => window.MathJax?.startup?.promise")
            seen = page.evaluate(LOOK)
            found += [(at, problem) for problem in seen["problems"]]
            equations += seen["equations"]
            anchors[path.as_uri()] = set(seen["anchors"])
            for link in seen["links"]:
                links[link].add(at)
        browser.close()
    return found + broken(links, anchors), len(anchors), equations


def broken(links, anchors):
    """[(page, problem)] of the links into the site that lead nowhere.

    links: {address: the pages that have it}; anchors: {a page's address: the names in it}.
    """
    found = []
    for link in sorted(link for link in links if link.startswith("file:")):
        address, anchor = urldefrag(link)
        missing = not Path(unquote(address.removeprefix("file://"))).is_file()
        if missing or (anchor and address in anchors
                       and not {anchor, unquote(anchor)} & anchors[address]):
            found += [(page, f"{'no file' if missing else 'no anchor'}: {link}")
                      for page in sorted(links[link])]
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path)
    site = parser.parse_args(arguments).site
    if not (site / "index.html").is_file():
        parser.error(f"{site}: no index.html in it; python docs/build.py --out {site} makes one")
    found, pages, equations = inspect(site)
    for page, problem in found:
        print(f"{page}: {problem}")
    print(f"{pages} pages, {equations} equations drawn, {len(found)} problems")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
