"""The table of codecs, and how a line like ``levels:side=14,levels=2`` names one; light to import.

Third parties add a `CodecInfo` by an entry point in the group ``clbench.codecs``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clbench.errors import InputError, did_you_mean
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.codecs.protocol import Codec


@dataclass(frozen=True)
class Parameter:
    """A number that a codec takes.

    Attributes:
        name: before the equals sign.
        low, high: the least and the largest value.
        help: what it is, in a few words.
        default: None where the parameter must be given.
        whole: whether it is a whole number.
        always: told in a codec's name even where it is the default.
    """

    name: str
    low: float
    high: float
    help: str
    default: float | None = None
    whole: bool = True
    always: bool = False

    def read(self, text: str, codec: str) -> float:
        """Return the number in ``text``.

        Raises:
            InputError: no number, or one out of range.
        """
        kind = "a whole number" if self.whole else "a number"
        try:
            value: float = int(text) if self.whole else float(text)
        except ValueError:
            value = float("nan")
        if not self.low <= value <= self.high:
            raise InputError(
                f"codec {codec}: expected {self.name} to be {kind} from {self.low:g} to "
                f"{self.high:g}, found {text!r}"
            )
        return value


@dataclass(frozen=True)
class CodecInfo:
    """One entry of the table.

    Attributes:
        make: the codec, given its parameters by name.
        summary: what is written, one line.
        parameters: what it takes.
        example: a line that names one; also what `clbench list codecs` measures.
        source: where it comes from.
    """

    make: Callable[..., Codec]
    summary: str
    parameters: tuple[Parameter, ...] = ()
    example: str = ""
    source: str = ""


_SIDE = Parameter("side", 1, 4096, "pixels of the longer side")
_OWN_SIDE = Parameter("side", 0, 4096, "pixels of the longer side; 0 keeps the images' size", 0)
_MOSAIC = Parameter("mosaic", 0, 1, "1: a class in one picture; 0: one picture an image", 1)


def _pillow(kind: str) -> Lazy:
    return Lazy("clbench.codecs.pillow:PillowCodec", kind)


def _quality(default: int) -> Parameter:
    return Parameter("quality", 1, 95, "of the library, higher is better", default, always=True)


CODECS: Table[CodecInfo] = Table(
    {
        "raw": CodecInfo(
            Lazy("clbench.codecs.pixels:Pixels"),
            "uint8 pixels",
            example="raw",
            source="the field's tables",
        ),
        "float32": CodecInfo(
            Lazy("clbench.codecs.pixels:Pixels", 1, True),
            "float32 pixels, four bytes each",
            example="float32",
        ),
        "tiles": CodecInfo(
            Lazy("clbench.codecs.pixels:tiles"),
            "uint8 pixels of down-scaled images, F x F of them in the bytes of one",
            (Parameter("factor", 2, 4096, "F, by which height and width are divided"),),
            example="tiles:factor=2",
            source="IDC (Kim et al. 2022)",
        ),
        "levels": CodecInfo(
            Lazy("clbench.codecs.levels:LevelsCodec"),
            "few grey levels of down-scaled images, arithmetic-coded with contexts",
            (
                _SIDE,
                Parameter("levels", 2, 256, "grey levels"),
                Parameter("blur", 0, 8, "Gaussian after up-scaling, in pixels", 0, whole=False),
            ),
            example="levels:side=14,levels=2",
            source="ours; range coder of constriction",
        ),
        "png": CodecInfo(_pillow("png"), "lossless PNG", (_MOSAIC, _OWN_SIDE), "png"),
        "webp": CodecInfo(
            _pillow("webp"),
            "WebP; quality 100 is lossless",
            (Parameter("quality", 1, 100, "100 is lossless", 100, always=True), _MOSAIC, _OWN_SIDE),
            "webp:quality=30",
        ),
        "jpeg": CodecInfo(
            _pillow("jpeg"), "JPEG", (_quality(30), _MOSAIC, _OWN_SIDE), "jpeg:quality=30"
        ),
        "avif": CodecInfo(
            _pillow("avif"), "AVIF", (_quality(30), _MOSAIC, _OWN_SIDE), "avif:quality=30"
        ),
    },
    group="clbench.codecs",
    kind=CodecInfo,
    what="codec",
)


def parse(line: str) -> Codec:
    """Return the codec that a line ``NAME[:PARAMETER=NUMBER,...]`` names.

    Raises:
        InputError: no such codec or parameter (with the nearest name), one that is missing or
            given twice, or a number out of range; a library that was built without it.
    """
    name, values = _read(line)
    return CODECS.find(name).make(**values)


def canonical(line: str) -> str:
    """Return the one line that stands for all that name the same codec; makes none.

    Raises:
        InputError: see `parse`.
    """
    name, values = _read(line)
    told = [
        f"{p.name}={values[p.name]:g}"
        for p in CODECS.find(name).parameters
        if p.always or values[p.name] != p.default
    ]
    return ":".join(filter(None, [name, ",".join(told)]))


def _read(line: str) -> tuple[str, dict[str, float]]:
    name, _, rest = line.strip().partition(":")
    row = CODECS.find(name)
    known = {parameter.name: parameter for parameter in row.parameters}
    values = {p.name: p.default for p in row.parameters}
    given: set[str] = set()
    for part in filter(None, rest.split(",")):
        key, equals, text = (piece.strip() for piece in part.partition("="))
        if key not in known or not equals or key in given:
            raise InputError(_unexpected(line, part, key, known, twice=key in given))
        given.add(key)
        values[key] = known[key].read(text, name)
    missing = [key for key, value in values.items() if value is None]
    if missing:
        raise InputError(
            f"codec {line!r}: expected {' and '.join(missing)} to be given, as in "
            f"{row.example or name!r}"
        )
    read = {key: value for key, value in values.items() if value is not None}
    return name, {key: int(v) if known[key].whole else v for key, v in read.items()}


def _unexpected(line: str, part: str, key: str, known: dict[str, Parameter], *, twice: bool) -> str:
    if not known:
        return f"codec {line!r}: expected no parameters, found {part!r}"
    expected = ", ".join(f"{name}=NUMBER" for name in known)
    if twice:
        return f"codec {line!r}: expected {key} once, found it twice"
    hint = "" if key in known else did_you_mean(key, known)
    return f"codec {line!r}: expected {expected}, found {part!r}{hint}"
