"""The opcodes of a pickle of plain values -> those values, without calling anything.

``pickle.Unpickler`` with a restricted ``find_class`` still calls what it lets through, and allocates what a file of a
few bytes claims. This walks the opcodes (as ``pickletools`` describes them) with a stack of its own and knows numbers,
strings, bytes, lists, tuples, and the few names by which numpy and Python 2 write bytes; what it makes is never more
than the file holds.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ByteArray", "NoPickle", "PickleError", "PickleWalk"]


class PickleError(ValueError):
    """Something that has no business in a list of pictures."""


class _Name(NamedTuple):
    """A global that the pickle names. It stays a name: nothing is imported."""

    module: str
    name: str


class NoPickle(PickleError):
    """Bytes that are no pickle at all, or a broken one."""


class _Dtype:
    """A type of numpy's; its order of bytes comes later, in its state."""

    def __init__(self, kind: str, order: str = "=") -> None:
        self.kind, self.order = kind, order

    @property
    def whole(self) -> str:
        """As numpy writes it, such as ``<i8``."""
        return self.kind if self.kind in _BYTES else f"{self.order}{self.kind}"

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return int(self.kind[1:])


class _Text(str):
    """Remembers its bytes: a pickle may ask for those of one text any number of times."""

    encoded: bytes | None = None


class ByteArray:
    """An array of numbers, or one number of numpy's: its type as numpy writes it, and its bytes."""

    def __init__(self, kind: str = "u1", content: bytes = b"") -> None:
        self.kind, self.content = kind, content


_MARK = object()
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_RECONSTRUCT = {_Name(module, "_reconstruct") for module in _NUMPY}
_SCALAR = {_Name(module, "scalar") for module in _NUMPY}
_FROMBUFFER = {_Name("numpy.core.numeric", "_frombuffer"), _Name("numpy._core.numeric", "_frombuffer")}
_NDARRAY, _DTYPE = _Name("numpy", "ndarray"), _Name("numpy", "dtype")
_ENCODE = _Name("_codecs", "encode")
_EMPTY_BYTES = {_Name("__builtin__", "bytes"), _Name("builtins", "bytes")}
_KNOWN = {*_RECONSTRUCT, *_SCALAR, *_FROMBUFFER, *_EMPTY_BYTES, _NDARRAY, _DTYPE, _ENCODE}
_BYTES = ("b1", "i1", "u1")
_NAMES = {"?": "b1", "bool": "b1", "half": "f2", "single": "f4", "double": "f8"}
_NAMES |= {f"{name}{8 * size}": f"{name[0]}{size}" for name in ("int", "uint", "float") for size in (1, 2, 4, 8)}
_NAMES |= {"float96": "f12", "float128": "f16"}
_KIND = re.compile("([<>|=]?)(b1|[iu][1248]|f(?:[248]|12|16))")

_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_IGNORED = {"PROTO", "FRAME"}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_QUOTED = re.compile(rb"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_PYTHON2_STRINGS = {"BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT, _GET = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class PickleWalk:
    """One pass over the opcodes of a pickle."""

    def __init__(self, content: bytes) -> None:
        self.offset = 0
        self._file = io.BytesIO(content)
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value at STOP.

        Returns
        -------
        object
            Numbers, strings, bytes, lists, tuples and `ByteArray`.

        Raises
        ------
        PickleError
            Anything but plain values; ``offset`` is where the opcode stands.
        """
        try:
            return self._run()
        except PickleError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, SyntaxError, OverflowError) as error:
            raise NoPickle(f"this is no whole pickle: {error}") from None

    def _run(self) -> Any:
        while True:
            self.offset = self._file.tell()
            code = self._file.read(1)
            if code not in _OPCODES:
                raise NoPickle("the pickle is truncated" if not code else f"no pickle has the opcode {code!r}")
            name = _OPCODES[code].name
            if name == "STOP":
                return self._stack.pop()
            self._execute(name, self._argument(code, name))

    def _argument(self, code: bytes, name: str) -> Any:
        if name == "STRING":
            return self._string()
        reader = _OPCODES[code].arg
        return None if reader is None else reader.reader(self._file)

    def _string(self) -> bytes:
        """The argument of Python 2's protocol 0: a quoted literal, which ``pickletools`` reads as ASCII alone."""
        line = self._file.readline().strip()
        if not _QUOTED.fullmatch(line):
            raise PickleError("a string stands in the pickle without its quotes")
        text: bytes = ast.literal_eval("b" + line.decode("ascii", "backslashreplace"))
        return text

    def _execute(self, name: str, given: Any) -> None:
        stack = self._stack
        if name in _VALUES or name == "STRING":
            stack.append(_Text(given) if isinstance(given, str) else given)
        elif name == "BYTEARRAY8":
            stack.append(bytes(given))
        elif name in _PYTHON2_STRINGS:
            stack.append(given.encode("latin-1"))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _PUT:
            self._memo[int(given)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in _GET:
            stack.append(self._memo[int(given)])
        elif name not in _IGNORED:
            self._build(name, given)

    def _build(self, name: str, given: Any) -> None:
        stack = self._stack
        if name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(self._top(_TUPLES[name]))]
        elif name in ("TUPLE", "LIST"):
            items = self._since_mark()
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("APPEND", "APPENDS"):
            items = self._since_mark() if name == "APPENDS" else [stack.pop()]
            self._list().extend(items)
        elif name == "GLOBAL":
            stack.append(_allowed_global(*given.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_allowed_global(*self._top(2))]
        elif name == "REDUCE":
            stack[-2:] = [_reduce(*self._top(2))]
        elif name == "BUILD":
            _set_state(stack.pop(), stack[-1])
        elif name == "POP":
            stack.pop()
        else:
            raise PickleError(f"the pickle asks for {name}, which no list of pictures needs: it is not read")

    def _top(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) < count or _MARK in items:
            raise PickleError("the pickle takes more from its stack than it put there")
        return items

    def _since_mark(self) -> list[Any]:
        stack = self._stack
        at = next((place for place in range(len(stack) - 1, -1, -1) if stack[place] is _MARK), None)
        if at is None:
            raise PickleError("the pickle takes more from its stack than it put there")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def _list(self) -> list[Any]:
        if not self._stack or not isinstance(self._stack[-1], list):
            raise PickleError("the pickle appends to what is no list")
        found: list[Any] = self._stack[-1]
        return found


def _allowed_global(module: Any, name: Any) -> _Name:
    # Only strings are compared or shown: nested tuples that share their parts take for ever to hash or to print.
    if not isinstance(module, str) or not isinstance(name, str):
        raise PickleError("the pickle names a global by what is no string")
    found = _Name(module, name)
    if found not in _KNOWN:
        raise PickleError(
            f"the pickle names {module}.{name}, which no list of pictures needs: reading it the usual way could run "
            "a program on this machine. It is not read"
        )
    return found


def _reduce(function: Any, arguments: Any) -> Any:
    """What the few known functions would give for these arguments."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise PickleError("the pickle calls what is no function")
    if function in _EMPTY_BYTES and not arguments:
        return b""
    for names, build in _BUILDERS:
        if function in names:
            return build(arguments)
    raise PickleError(f"the pickle calls {function.module}.{function.name}")


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    text, coding = arguments
    if not isinstance(text, _Text) or coding not in ("latin1", "latin-1"):
        raise PickleError("the pickle encodes by something other than latin-1")
    if text.encoded is None:
        text.encoded = text.encode("latin-1")
    return text.encoded


def _dtype(arguments: tuple[Any, ...]) -> _Dtype:
    name = arguments[0].decode("ascii") if isinstance(arguments[0], bytes) else arguments[0]
    found = _KIND.fullmatch(_NAMES.get(name, name)) if isinstance(name, str) else None
    if found is None:
        raise PickleError("an array of something other than numbers or bool stands in the pickle")
    return _Dtype(found[2], found[1] or "=")


def _scalar(arguments: tuple[Any, ...]) -> ByteArray:
    dtype, content = arguments
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes) or len(content) != dtype.size:
        raise PickleError("a number of numpy's that has not the bytes of its type stands in the pickle")
    return ByteArray(dtype.whole, content)


def _from_buffer(arguments: tuple[Any, ...]) -> ByteArray:
    content, dtype, shape, _order = arguments
    return _byte_array(dtype, shape, content)


def _byte_array(dtype: Any, shape: Any, content: Any) -> ByteArray:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
        raise PickleError("an array that is not made of bytes stands in the pickle")
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise PickleError("an array without a shape stands in the pickle")
    others = [side for side in shape if side != 1]
    if [count * dtype.size for count in others or [1]] != [len(content)]:
        raise PickleError(f"an array of shape {shape} and {len(content)} bytes stands in the pickle")
    return ByteArray(dtype.whole, content)


def _set_state(state: Any, target: Any) -> None:
    """``__setstate__`` of an array, or of a dtype: its second value is the order of bytes."""
    if isinstance(target, _Dtype):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if isinstance(order, str) and order in ("<", ">", "="):
            target.order = str(order)
        return
    if not isinstance(target, ByteArray) or not isinstance(state, tuple) or len(state) != 5:
        raise PickleError("the pickle fills in what is no array")
    _, shape, dtype, _, content = state
    whole = _byte_array(dtype, shape, content)
    target.kind, target.content = whole.kind, whole.content


_BUILDERS: tuple[tuple[set[_Name], Callable[[tuple[Any, ...]], Any]], ...] = (
    ({_ENCODE}, _encoded),
    ({_DTYPE}, _dtype),
    (_SCALAR, _scalar),
    (_FROMBUFFER, _from_buffer),
    (_RECONSTRUCT, lambda _: ByteArray()),
)
