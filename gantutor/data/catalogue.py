"""The papers' data sets by name: what they are, where they come from, and how they are laid out.

    folder = build("horse2zebra", "datasets")      # datasets/horse2zebra/trainA, trainB, ...
"""

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gantutor.data import real_sets
from gantutor.data.archives import gunzip, unpack
from gantutor.data.downloads import Remote, check, fetch
from gantutor.data.images import read_image
from gantutor.saving import atomically

ROOM = 20  # an archive of photographs unpacks to about its own length; this many times is a bomb
IDX_LIMIT = 50_000_000  # the longest of MNIST's files has 47,040,016 bytes
RAFD_SIDE = 256


@dataclass(frozen=True)
class DataSet:
    """name; what: one line; files: what is fetched (none: the reader brings it); elsewhere: where
    to look when every address is dead; use: what to do with it, {folder} being where it lies."""

    name: str
    what: str
    files: tuple
    elsewhere: str
    use: str

    @property
    def length(self):
        """Bytes to fetch, as far as they are known."""
        return sum(file.length or 0 for file in self.files)


# ------------------------------------------------------------------ the CycleGAN sets

BERKELEY = ("https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
            "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
            "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/")
# Lengths and checksums: what tensorflow-datasets has recorded for the last of these addresses.
ARCHIVES = {
    "apple2orange": (78456409, "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
                     "apples, navel oranges; ImageNet; 256 px"),
    "summer2winter_yosemite": (
        132640856, "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",
        "Yosemite in summer, in winter; Flickr; 256 px"),
    "horse2zebra": (116867962, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
                    "horses, zebras; ImageNet; 256 px"),
    "monet2photo": (305231073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
                    "Monet's paintings, landscape photographs; 256 px"),
    "cezanne2photo": (279885071, "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
                      "Cezanne's paintings, landscape photographs; 256 px"),
    "ukiyoe2photo": (292946532, "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
                     "Japanese woodblock prints, landscape photographs; 256 px"),
    "vangogh2photo": (306590349, "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
                      "van Gogh's paintings, landscape photographs; 256 px"),
    "maps": (1476754427, "639534f69dbf9f36bef8d6292a7698006361221f83f0285d7c9ca78afe6e8a9e",
             "aerial photographs, maps; Google; 600 px; the pairs exist"),
    "facades": (35135868, "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0",
                "facades, their labels; CMP; 256 px; the pairs exist"),
    "iphone2dslr_flower": (
        339964458, "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113",
        "flowers by telephone, by a camera with a shallow focus; Flickr"),
}


def _berkeley(name):
    length, digest, what = ARCHIVES[name]
    file = Remote(f"{name}.zip", [place + f"{name}.zip" for place in BERKELEY], length,
                  f"sha256:{digest}")
    return DataSet(name, what, (file,),
                   "github.com/junyanz/pytorch-CycleGAN-and-pix2pix, docs/datasets.md, names where "
                   f"{name}.zip lies now",
                   "gantutor train cyclegan --data {folder}")


# ------------------------------------------------------------------ digits and faces

MNIST_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",
                 "https://storage.googleapis.com/cvdf-datasets/mnist/",
                 "http://yann.lecun.com/exdb/mnist/")
MNIST = {"train-images-idx3-ubyte.gz": (
             9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
         "train-labels-idx1-ubyte.gz": (
             28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
         "t10k-images-idx3-ubyte.gz": (
             1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
         "t10k-labels-idx1-ubyte.gz": (
             4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")}
LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
HOUSES = "http://ufldl.stanford.edu/housenumbers/"
DIGITS_USE = "notebook 07's gpu cell reads {folder}; or real_sets.digits(..., folder)"
SETS = {name: _berkeley(name) for name in ARCHIVES} | {
    "mnist": DataSet(
        "mnist", "handwritten digits, 28 px",
        tuple(Remote(f"MNIST/raw/{name}", [mirror + name for mirror in MNIST_MIRRORS], length,
                     f"sha256:{digest}") for name, (length, digest) in MNIST.items()),
        "torchvision.datasets.MNIST names its mirrors", DIGITS_USE),
    "usps": DataSet(
        "usps", "handwritten digits of the US mail, 16 px",
        (Remote("usps.bz2", [LIBSVM + "usps.bz2"], None, "md5:ec16c51db3855ca6c91edd34d0e9b197"),
         Remote("usps.t.bz2", [LIBSVM + "usps.t.bz2"], None,
                "md5:8ea070ee2aca1ac39742fdd1ef5ed118")),
        "LIBSVM's page of multi-class data sets", DIGITS_USE),
    "svhn": DataSet(
        "svhn", "house numbers from street photographs, 32 px, needs scipy",
        (Remote("train_32x32.mat", [HOUSES + "train_32x32.mat"], 182040794,
                "sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
         Remote("test_32x32.mat", [HOUSES + "test_32x32.mat"], 64275384,
                "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b")),
        "ufldl.stanford.edu/housenumbers", DIGITS_USE),
    "celeba": DataSet(
        "celeba", "faces with 40 attributes; for research only", (),
        "mmlab.ie.cuhk.edu.hk/projects/CelebA.html gives it to those who accept its terms: put "
        "img_align_celeba/ and the five lists into the folder celeba",
        "gantutor train stargan --data {folder}/celeba/img_align_celeba --labels "
        "{folder}/celeba/list_attr_celeba.txt --attributes " + " ".join(real_sets.CELEBA)),
    "rafd": DataSet(
        "rafd", "faces with 8 expressions; on request", (),
        "rafd.socsci.ru.nl gives it to researchers who ask: name its folder with --from",
        "gantutor train stargan --data {folder}")}


def data_set(name):
    """The data set of that name. ValueError for an unknown one."""
    if name not in SETS:
        raise ValueError(f"data set {name!r}: expected one of {', '.join(SETS)}")
    return SETS[name]


def build(name, folder, local=None, progress=True, patience=30):
    """Fetches and lays out the set `name` below `folder`; returns the folder that holds it.

    local: the archive, or the folder with the files, where the reader has them: nothing is then
    fetched. Files that lie in `folder` already are checked and used.
    Raises ValueError for an unknown name or a damaged file, OSError (with where else to look)
    where no address works, FileNotFoundError for what the reader has to bring.
    """
    wanted, folder = data_set(name), Path(folder).expanduser()
    local = Path(local).expanduser() if local else None
    if local and not local.exists():
        raise FileNotFoundError(f"{local}: no such file or folder")
    if name in ARCHIVES:
        return _unpacked(wanted, folder, local, progress, patience)
    if wanted.files:
        return _digit_files(wanted, local or folder, progress, patience, offline=bool(local))
    if local is None and not (folder / name).is_dir():
        raise FileNotFoundError(f"{name}: cannot be fetched; {wanted.elsewhere}")
    if SETS["celeba"] is wanted:
        real_sets.celeba(local or folder)
        return local or folder
    return _sorted_by_expression(local, folder / name)


def _get(wanted, file, folder, progress, patience):
    try:
        return fetch(file, folder, patience, progress)
    except OSError as error:
        raise OSError(f"{error}. Elsewhere: {wanted.elsewhere}; `gantutor data build {wanted.name} "
                      "--from PATH` takes what you have") from None


def _unpacked(wanted, folder, local, progress, patience):
    place, file = folder / wanted.name, wanted.files[0]
    if place.is_dir():
        return place
    if local and local.is_dir():
        return _domains(local)
    if local:
        check(local, file)
    archive = local or _get(wanted, file, folder, progress, patience)
    scratch = folder / f".{wanted.name}.unpacked"
    try:
        unpack(archive, scratch, ROOM * file.length, progress)
    except FileExistsError:  # complete: a run was ended between its two last steps
        pass
    inner = scratch / wanted.name
    try:
        _domains(inner if inner.is_dir() else scratch).rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def _domains(folder):
    """`folder`, or ValueError unless it holds trainA and trainB."""
    missing = [part for part in ("trainA", "trainB") if not (folder / part).is_dir()]
    if missing:
        raise ValueError(f"{folder}: no {' and no '.join(missing)}; expected trainA and trainB")
    return folder


def _digit_files(wanted, folder, progress, patience, offline):
    for file in wanted.files:
        plain = folder / file.name.removesuffix(".gz")
        if plain.suffix != Path(file.name).suffix and plain.is_file():
            continue  # MNIST's, unpacked by torchvision or by an earlier call
        if offline and not (folder / file.name).is_file():
            raise FileNotFoundError(f"{folder / file.name}: no such file")
        path = _get(wanted, file, folder, progress, patience)
        if path != plain:
            gunzip(path, plain, IDX_LIMIT)
    return folder


def _sorted_by_expression(source, place):
    """RaFD -> a folder an expression: squares of 256 px as PNG. `source`: None if that was done."""
    if place.is_dir() and source is None:
        return place
    found, labels = real_sets.rafd(source, RAFD_SIDE)
    for path, label in zip(found.paths, labels, strict=True):
        target = place / real_sets.RAFD[label.argmax()] / f"{path.stem}.png"
        if not target.exists():
            image = read_image(path)
            left, top, side = real_sets.face_square(*image.size)
            box = (left, top, left + side, top + side)
            square = image.resize((RAFD_SIDE, RAFD_SIDE), Image.LANCZOS, box)
            atomically(target, functools.partial(square.save, format="PNG"))
    return place
