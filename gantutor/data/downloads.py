"""One file from the network: several addresses in order, resumed, checked, whole or not at all."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

import gantutor

SLOW = 1000          # bytes a second; less than that for `patience` seconds is a stall
CAP = 20 * 2**30     # of a file whose length nobody has stated
POOR = 2**20         # bytes: an attempt that brings less is a poor one
POOR_ATTEMPTS = 3    # so many at one address, and it is given up


@dataclass(frozen=True)
class Remote:
    """A file that somebody else keeps. `name`: its path below the folder that it is fetched to."""

    name: str
    urls: Sequence[str]   # tried in this order
    length: int | None    # in bytes, where it is known
    digest: str | None    # "sha256:..." or "md5:..."
    unchecked: str = ""   # why there is no digest


class Refused(Exception):
    """What an address offers is not the file."""


def fetch(remote, folder, patience=30, progress=True):
    """The path of `remote` below `folder`: as it lies there, or fetched now.

    A half-fetched file stays as NAME.part, and the next call goes on with it. patience: seconds
    without an answer, or with less than 1,000 bytes a second, after which an address is given up.
    Raises OSError that names every address and what was wrong with it; ValueError if a file of
    that name lies there and is another one; ModuleNotFoundError without the extra `fetch`.
    """
    path = Path(folder).expanduser() / remote.name
    if path.exists():
        check(path, remote)
        return path
    pooch, _, errors = _tools()
    failed = []
    for url in remote.urls:
        for _ in range(2):  # the second time from the start, if the first went on with an old part
            part = path.with_name(f"{path.name}.part")
            resumed = part.exists()
            try:
                pooch.retrieve(url, remote.digest, path.name, path.parent,
                               downloader=_Resuming(remote, part, patience, progress))
                return path
            except (OSError, ValueError, Refused, *errors) as error:
                reason = _reason(error, url)
                spoilt = type(error) is ValueError  # pooch's: another digest
            if not (spoilt and resumed):
                break
        failed.append(f"{url} ({'another checksum' if spoilt else reason})")
    raise OSError(f"{remote.name}: none of {len(failed)} addresses gives it: {'; '.join(failed)}")


def check(path, remote):
    """ValueError unless `path` has the length and the checksum of `remote`."""
    found = Path(path).stat().st_size
    if remote.length not in (None, found):
        raise ValueError(f"{path}: {found:,} bytes; expected {remote.length:,}. Move it away, and "
                         "it is fetched")
    if remote.digest:
        pooch, *_ = _tools()
        kind, _, digest = remote.digest.partition(":")
        found = pooch.file_hash(str(path), kind)
        if found != digest:
            raise ValueError(f"{path}: {kind} {found}; expected {digest}. Move it away, and it is "
                             "fetched")


def _tools():
    """(pooch, requests, the kinds of errors that these raise)."""
    try:
        import pooch
        import requests
        import urllib3
    except ImportError as error:
        raise ModuleNotFoundError(f"{error.name}: data sets are fetched with pooch, which is not "
                                  "installed: `pip install 'gantutor[fetch]'`") from None
    pooch.get_logger().setLevel(logging.ERROR)
    return pooch, requests, (requests.RequestException, urllib3.exceptions.HTTPError)


def _reason(error, url):
    text = str(error).replace(url, "").partition("\n")[0].strip(" :()")
    return f"{type(error).__name__}: {text[:200]}" if not isinstance(error, Refused) else text


@dataclass
class _Resuming:
    """Fetches into `part`, as often as each attempt brings something, then moves it into place."""

    remote: Remote
    part: Path
    patience: float
    progress: bool

    def __call__(self, url, place, _):  # as pooch calls it
        _, _, errors = _tools()
        if self.remote.length and self._held() > self.remote.length:
            self.part.unlink()  # of another file
        poor = 0
        while not (self.remote.length and self._held() == self.remote.length):
            before = self._held()
            try:
                self._attempt(url, before)
                break
            except (OSError, *errors):
                poor += self._held() - before < POOR
                if poor == POOR_ATTEMPTS or self._held() <= before:
                    raise
        self.part.replace(place)

    def _held(self):
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url, start):
        _, requests, _ = _tools()
        headers = {"Accept-Encoding": "identity", "User-Agent": f"gantutor/{gantutor.__version__}"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=self.patience) as answer:
            if answer.status_code == 416 and start:  # the part is longer than the file
                self.part.unlink()
                return self._attempt(url, 0)
            start = self._begin(answer, start)
            stated = answer.headers.get("Content-Length", "")
            whole = self.remote.length or (start + int(stated) if stated.isdecimal() else None)
            if stated.isdecimal() and whole != start + int(stated):
                page = "html" in answer.headers.get("Content-Type", "")
                raise Refused(f"offers {start + int(stated):,} bytes, expected {whole:,}"
                              + ", a web page" * page)
            self._receive(answer.raw, start, whole)

    def _begin(self, answer, start):
        """Where the answer's bytes belong: `start`, or 0 where the server sends all again."""
        if answer.status_code == 206 and start:
            said = answer.headers.get("Content-Range", "")
            if not said.startswith(f"bytes {start}-"):
                raise Refused(f"goes on with {said or 'an unknown place'}, not with byte {start}")
            return start
        if answer.status_code != 200:
            raise Refused(f"{answer.status_code} {answer.reason}")
        return 0

    def _receive(self, raw, start, whole):
        read = getattr(raw, "read1", raw.read)  # read1: what has come, without waiting for more
        limit, since, received = whole or CAP, time.monotonic(), 0
        with (open(self.part, "ab" if start else "wb") as file,
              tqdm(total=whole, initial=start, unit="B", unit_scale=True, leave=False,
                   desc=f"fetching {self.part.stem}", disable=not self.progress) as bar):
            file.truncate(start)
            while data := read(2**16, decode_content=False):
                file.write(data[:max(0, limit - file.tell())])
                start, received = start + len(data), received + len(data)
                if start > limit:
                    self._throw_away()
                    raise Refused(f"sends more than {limit:,} bytes")
                bar.update(len(data))
                now = time.monotonic()
                if now - since > self.patience:
                    if received < SLOW * self.patience:
                        raise Refused(f"stalls: {received:,} bytes in {self.patience} seconds")
                    since, received = now, 0
        if whole and start < whole:
            raise ConnectionError(f"ends after {start:,} of {whole:,} bytes")

    def _throw_away(self):
        with suppress(OSError):  # Windows, where it is still open: the checksum refuses it later
            self.part.unlink()
