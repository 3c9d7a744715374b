"""Makers of small fixture files: images of unusual kinds, and the real sets' own formats."""

import bz2
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import SVHN, CelebA

from gantutor.data.real_sets import CELEBA, RAFD

# ------------------------------------------------------------------ image files

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)  # H != W; noise compresses badly


def save(path, array, mode=None, **options):
    """The array as an image file of the kind that the name says; returns the path."""
    if array.dtype == np.uint16 and path.suffix == ".pgm":  # Pillow 10 writes none of 16 bits
        head = f"P5 {array.shape[1]} {array.shape[0]} 65535\n".encode()
        path.write_bytes(head + array.astype(">u2").tobytes())
        return path
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand: what Pillow cannot write, or should never have to decode."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def tiff(width, height, bits, data, sample_format=1, photometric=1, more=()):
    """A little-endian TIFF written by hand, uncompressed. bits: a number, or one per sample."""
    bits = (bits,) if isinstance(bits, int) else bits
    tags = [(256, width), (257, height), (258, *bits), (259, 1), (262, photometric), (273, 0),
            (277, len(bits)), (278, height), (279, len(data)), (339, *[sample_format] * len(bits)),
            *more]
    start = 8 + 2 + 12 * len(tags) + 4
    out, behind = b"II*\0" + struct.pack("<IH", 8, len(tags)), b""
    for tag, *values in sorted(tags):
        values = [start] if tag == 273 else values              # StripOffsets
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            packed, behind = struct.pack("<I", start + len(data) + len(behind)), behind + packed
        out += struct.pack("<HHI", tag, 4, len(values)) + packed
    return out + struct.pack("<I", 0) + data + behind


# ICC v4. Colorants after adaptation to D50, as in Apple's and the usual sRGB profiles.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189),
              (0.15710, 0.06657, 0.78407))
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(65536 * v) for v in values))


def curve(values):
    """An ICC curve: one number is a gamma, five are those of a curve with a linear foot."""
    kind = 3 if len(values) == 5 else 0
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*values)


def profile(space, tags, kind=b"mntr", pcs=b"XYZ "):
    """An ICC profile with these tags, {name: data}."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)} | tags
    table, body = b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = (struct.pack(">I", 132 + len(table) + len(body)) + bytes(4) + b"\4\x30\0\0" + kind
              + space + pcs + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
              + fixed(0.9642, 1, 0.8249) + bytes(48))
    return header + struct.pack(">I", len(tags)) + table + body


def rgb_profile(colorants=SRGB, values=SRGB_CURVE):
    tags = {name: b"XYZ \0\0\0\0" + fixed(*xyz)
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(values)))


def grey_profile(gamma):
    return profile(b"GRAY", {b"kTRC": curve((gamma,))})


def cmyk_profile(lab_of):
    """lab_of: ink (c, m, y, k), 0 or 1 each -> Lab in 8 bits (L 0..255, a and b about 128)."""
    grid = [lab_of(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    table = (b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
             + bytes(range(256)) * 4 + bytes(v for lab in grid for v in lab)
             + bytes(range(256)) * 3)
    return profile(b"CMYK", {b"A2B0": table}, b"prtr", b"Lab ")


# ------------------------------------------------------------------ faces

OTHERS = ("Bald", "Eyeglasses")  # further attributes of the list, here two of the other 35
ROWS = [("000001.jpg", (1, 0, 0, 1, 1), 0), ("000002.jpg", (0, 1, 0, 0, 1), 0),
        ("000003.jpg", (0, 0, 1, 0, 0), 2), ("000004.jpg", (0, 0, 0, 1, 0), 0),
        ("000005.jpg", (1, 0, 0, 0, 1), 2)]


def make_celeba(root, rows, monkeypatch=None):
    """CelebA's six files with `rows` of (name, five labels, part); checksums waived."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lists = {name: [] for name in ("attr", "part", "identity", "bbox", "landmarks")}
    for k, (name, labels, part) in enumerate(rows):
        pixels = np.full((218, 178, 3), 20 * k, np.uint8)
        pixels[:20] = pixels[-20:] = 255  # cropped away
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95)
        signs = [1 if v else -1 for v in labels]
        lists["attr"].append(f"{name} -1 " + "".join(f"{s:2d} " for s in signs) + " 1")
        lists["part"].append(f"{name} {part}")
        lists["identity"].append(f"{name} {k + 1}")
        lists["bbox"].append(f"{name} 95 71 226 313")
        lists["landmarks"].append(f"{name} " + " ".join(["69"] * 10))
    header = f"{OTHERS[0]} {' '.join(CELEBA)} {OTHERS[1]}"
    texts = {"list_attr_celeba.txt": [str(len(rows)), header, *lists["attr"]],
             "list_eval_partition.txt": lists["part"], "identity_CelebA.txt": lists["identity"],
             "list_bbox_celeba.txt": [str(len(rows)), "image_id x_1 y_1 width height",
                                      *lists["bbox"]],
             "list_landmarks_align_celeba.txt": [str(len(rows)), "lefteye_x ...",
                                                 *lists["landmarks"]]}
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    if monkeypatch:
        monkeypatch.setattr(CelebA, "file_list", [(i, None, n) for i, _, n in CelebA.file_list])
    return root


def make_rafd(folder, count=16):
    folder.mkdir(parents=True)
    for k in range(count):
        mood = RAFD[k % 8]
        name = f"Rafd{('045', '090', '180')[k % 3]}_{k:02d}_Caucasian_female_{mood}_frontal.jpg"
        Image.fromarray(np.full((102, 68, 3), 10 * k, np.uint8)).save(folder / name)
    return folder


# ------------------------------------------------------------------ digits

LABELS = [5, 0, 4, 1, 9, 2]
LEFT_BRIGHT = 200  # every fixture digit: left half bright, right half dark


def picture(side, k):
    """(side, side) uint8: left half LEFT_BRIGHT + k, right half 0, the lowest row 0."""
    image = np.zeros((side, side), np.uint8)
    image[:-1, : side // 2] = LEFT_BRIGHT + k
    return image


def idx(array):
    """LeCun's idx format: two zero bytes, type 8 (uint8), dimensions, big-endian sizes, data."""
    head = bytes([0, 0, 8, array.ndim])
    return head + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + array.tobytes()


def make_mnist(folder):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, labels in (("train", LABELS), ("t10k", LABELS[:2])):
        images = np.stack([picture(28, k) for k in range(len(labels))])
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))
    return folder


def make_usps(folder):
    """libsvm lines "label 1:value ... 256:value", label 1 to 10, values -1 to 1, in bz2."""
    folder.mkdir(exist_ok=True)
    for name, labels in (("usps.bz2", LABELS), ("usps.t.bz2", LABELS[:3])):
        lines = []
        for k, label in enumerate(labels):
            values = picture(16, k).reshape(-1) / 255 * 2 - 1
            pairs = " ".join(f"{i}:{v:.6f}" for i, v in enumerate(values, 1))
            lines.append(f"{label + 1} {pairs} \n")
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))
    return folder


def make_svhn(folder, monkeypatch):
    """Matlab files with X (32, 32, 3, N) uint8 and y (N, 1), 10 for the digit 0; md5 waived."""
    savemat = pytest.importorskip("scipy.io").savemat
    folder.mkdir(exist_ok=True)
    for name, labels in (("train_32x32.mat", LABELS), ("test_32x32.mat", LABELS[:4])):
        x = np.zeros((32, 32, 3, len(labels)), np.uint8)
        for k in range(len(labels)):
            x[:, :, 0, k], x[:, :, 2, k] = picture(32, k), 255
        y = np.array([[label or 10] for label in labels], np.uint8)
        savemat(folder / name, {"X": x, "y": y})
    waived = {part: [url, name, None] for part, (url, name, _) in SVHN.split_list.items()}
    monkeypatch.setattr(SVHN, "split_list", waived)
    return folder
