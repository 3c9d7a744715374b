"""Fetching, proven against a server on the loopback address that does everything wrong."""

import hashlib
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gantutor.data import downloads
from gantutor.data.downloads import Remote, check, fetch

pytest.importorskip("pooch")
BODY = bytes(range(256)) * 2000  # 512,000 bytes
SHA = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Answers by the first part of the path: /MANNER/name. `asked`: (manner, Range) in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.released = [], threading.Event()
        self.daemon_threads = True
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, manner, name="a.zip"):
        return f"http://127.0.0.1:{self.server_port}/{manner}/{name}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def head(self, code, length=None, **more):
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self):
        manner = self.path.split("/")[1]
        self.server.asked.append((manner, self.headers.get("Range")))
        try:
            getattr(self, manner, self.status)()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def start(self):
        said = self.headers.get("Range")
        return int(said.removeprefix("bytes=").removesuffix("-")) if said else 0

    def begin(self, stated=None):
        """Sends the head of a right answer; returns the bytes that should follow."""
        start = self.start()
        if start >= len(BODY):
            self.head(416, 0)
            return b""
        rest = BODY[start:]
        if start:
            self.head(206, len(rest), Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        else:
            self.head(200, stated or len(rest))
        return rest

    def status(self):
        self.head(int(self.path.split("/")[1]), 0)

    def good(self):
        self.wfile.write(self.begin())

    def truncates(self):
        self.wfile.write(self.begin()[:200_000])

    def truncates_at_nothing(self):
        self.begin()

    def knows_no_range(self):
        self.head(200, len(BODY))
        self.wfile.write(BODY[:200_000] if len(self.server.asked) < 2 else BODY)

    def wrong_place(self):
        rest = BODY[self.start() + 7:]
        self.head(206 if self.start() else 200, len(rest), Content_Range=f"bytes 7-{len(BODY)}/*")
        self.wfile.write(rest)

    def stalls(self):
        self.wfile.write(self.begin()[:1000])
        self.wfile.flush()
        self.server.released.wait(20)

    def never_answers(self):
        self.server.released.wait(20)

    def trickles(self):
        for k, byte in enumerate(self.begin()):
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.released.wait(0.02) or k > 900:
                return

    def says_more(self):
        self.head(200, 10**12)
        self.wfile.write(BODY)

    def says_less(self):
        self.head(200, 1000)
        self.wfile.write(BODY)

    def endless(self):
        self.head(200)  # no length: until the connection ends
        while not self.server.released.is_set():
            self.wfile.write(BODY)

    def without_length(self):
        self.head(200)
        self.wfile.write(BODY)

    def other_content(self):
        self.head(200, len(BODY))
        self.wfile.write(BODY[::-1])

    def web_page(self):
        page = b"<html>Please sign in</html>"
        self.head(200, len(page), Content_Type="text/html")
        self.wfile.write(page)

    def around(self):
        self.head(302, 0, Location=self.path)

    def to_a_file(self):
        self.head(302, 0, Location="file:///etc/passwd")

    def compressed(self):
        self.head(200, len(BODY), Content_Encoding="gzip")
        self.wfile.write(BODY)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def remote(server, *manners, **settings):
    return Remote("a.zip", [server.url(manner) for manner in manners],
                  **{"length": len(BODY), "digest": SHA} | settings)


def got(server, folder, *manners, patience=1, **settings):
    return fetch(remote(server, *manners, **settings), folder, patience, progress=False)


def failed(server, folder, *manners, **settings):
    """The one line of the error; nothing but a half may be left in the folder."""
    with pytest.raises(OSError) as caught:
        got(server, folder, *manners, **settings)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(f"a.zip: none of {len(manners)} addresses")
    assert all(server.url(manner) in text for manner in manners), text
    assert {path.name for path in folder.iterdir()} <= {"a.zip.part"}
    return text


# ------------------------------------------------------------------ what works


def test_a_good_address(server, tmp_path):
    path = got(server, tmp_path / "new", "good")
    assert path == tmp_path / "new" / "a.zip" and path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert got(server, tmp_path / "new", "404") == path  # it lies there: nobody is asked
    assert server.asked == [("good", None)]


def test_mirrors_are_tried_in_their_order(server, tmp_path):
    assert got(server, tmp_path, "403", "500", "good", "never_answers").read_bytes() == BODY
    assert [manner for manner, _ in server.asked] == ["403", "500", "good"]


def test_a_truncated_answer_is_gone_on_with(server, tmp_path):
    assert got(server, tmp_path, "truncates").read_bytes() == BODY
    assert server.asked == [("truncates", None), ("truncates", "bytes=200000-"),
                            ("truncates", "bytes=400000-")]


def test_another_mirror_goes_on_where_the_first_one_stopped(server, tmp_path):
    failed(server, tmp_path, "stalls")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:(tmp_path / "a.zip.part").stat().st_size]
    server.asked.clear()
    held = (tmp_path / "a.zip.part").stat().st_size
    assert held >= 1000 and got(server, tmp_path, "404", "good").read_bytes() == BODY
    assert server.asked[-1] == ("good", f"bytes={held}-")
    assert not (tmp_path / "a.zip.part").exists()


def test_a_server_that_knows_no_ranges_starts_again(server, tmp_path):
    assert got(server, tmp_path, "knows_no_range").read_bytes() == BODY
    assert server.asked[1] == ("knows_no_range", "bytes=200000-")


def test_a_file_without_a_stated_length_or_checksum(server, tmp_path):
    path = got(server, tmp_path, "without_length", length=None, digest=None, unchecked="none")
    assert path.read_bytes() == BODY
    path.unlink()
    assert got(server, tmp_path, "truncates", length=None).read_bytes() == BODY


def test_a_part_that_is_whole_already_is_only_checked(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY)
    assert got(server, tmp_path, "404").read_bytes() == BODY and not server.asked


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    part = tmp_path / "a.zip.part"
    part.write_bytes(b"another" * 1000)  # the checksum says so, and it starts again
    assert got(server, tmp_path, "good").read_bytes() == BODY
    assert server.asked == [("good", "bytes=7000-"), ("good", None)]
    (tmp_path / "a.zip").unlink()
    for length in (len(BODY), None):     # longer than the file
        part.write_bytes(BODY + b"more")
        assert got(server, tmp_path, "good", length=length).read_bytes() == BODY
        (tmp_path / "a.zip").unlink()


def test_what_is_labelled_compressed_is_taken_as_it_comes(server, tmp_path):
    """Nothing is decompressed on the way: a small answer cannot become a large file."""
    assert got(server, tmp_path, "compressed").read_bytes() == BODY


# ------------------------------------------------------------------ what does not


@pytest.mark.parametrize("code, words", [(403, "403 Forbidden"), (404, "404 Not Found"),
                                         (500, "500 Internal Server Error"), (204, "204")])
def test_status_codes(server, tmp_path, code, words):
    assert words in failed(server, tmp_path, str(code))


@pytest.mark.parametrize("manner, words", [
    ("truncates_at_nothing", "(0 bytes read|ends after 0|[Cc]onnection)"),
    ("wrong_place", "offers 511,993 bytes, expected 512,000"),
    ("says_more", "offers 1,000,000,000,000 bytes, expected 512,000"),
    ("says_less", "offers 1,000 bytes, expected 512,000"),
    ("endless", "sends more than 512,000 bytes"),
    ("other_content", "another checksum"),
    ("web_page", "offers 27 bytes, expected 512,000, a web page"),
    ("around", "TooManyRedirects"), ("to_a_file", "InvalidSchema"),
    ("never_answers", "[Tt]ime"), ("stalls", "[Tt]ime|stalls")])
def test_bad_answers_are_named_and_the_next_address_is_tried(server, tmp_path, manner, words):
    text = failed(server, tmp_path, manner)
    assert re.search(words, text), text
    assert got(server, tmp_path, manner, "good").read_bytes() == BODY


def test_a_wrong_place_in_the_middle_is_refused(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:100])
    text = failed(server, tmp_path, "wrong_place")
    assert "goes on with bytes 7-512000/*, not with byte 100" in text


def test_without_a_known_length_an_endless_answer_ends_at_the_cap(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "CAP", 2_000_000)
    text = failed(server, tmp_path, "endless", length=None)
    assert "sends more than 2,000,000 bytes" in text


def test_a_trickle_is_a_stall(server, tmp_path):
    start = time.monotonic()
    text = failed(server, tmp_path, "trickles")
    assert "stalls: " in text and "bytes in 1 seconds" in text
    assert time.monotonic() - start < 8


def test_nobody_listens(server, tmp_path):
    server.shutdown()
    server.server_close()
    assert "ConnectionError" in failed(server, tmp_path, "good")


def test_a_file_that_lies_there_is_checked(server, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(BODY[:-1])
    with pytest.raises(ValueError, match=r"a\.zip: 511,999 bytes; expected 512,000. Move it away"):
        got(server, tmp_path, "good")
    path.write_bytes(BODY[::-1])
    with pytest.raises(ValueError, match=r"a\.zip: sha256 [0-9a-f]{64}; expected [0-9a-f]{64}"):
        got(server, tmp_path, "good")
    path.write_bytes(BODY)
    check(path, remote(server, "good"))
    md5 = f"md5:{hashlib.md5(BODY).hexdigest()}"
    check(path, remote(server, "good", digest=md5))
    assert not server.asked


def test_without_the_extra_the_error_says_how_to_get_it(tmp_path, monkeypatch, server):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r"pooch.*pip install 'gantutor\[fetch\]'"):
        got(server, tmp_path, "good")
