"""Limits as YAML: a list for each kind. Scalars are text as they were written: no number ever becomes a float."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from audit.canonical import Json
from policies.files.rows import KINDS, MOST_ROWS, SHEETS, Cell, FileRow, check_header, refused

# A file is a mapping of lists of mappings, of which some values are lists.
_DEEPEST = 4


def write_yaml(sheets: Mapping[str, Sequence[Mapping[str, Json]]], comment: str) -> bytes:
    """Return the rows of every kind as YAML, with a comment in front."""
    said = {SHEETS[kind]: [dict(row) for row in rows] for kind, rows in sheets.items()}
    text: str = yaml.dump(said, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# {comment}\n{text}".encode()


def read_yaml(content: bytes) -> tuple[FileRow, ...]:
    """Return the rows of a YAML file. Raises FileRefused where it is none, or has anything that files do not have."""
    try:
        text = content.decode("utf-8-sig")
        _check_shape(text)
        root = yaml.compose(text, Loader=yaml.CBaseLoader)
    except UnicodeDecodeError:
        raise refused("is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise refused(f"is not YAML: {' '.join(str(error).split())[:300]}") from None
    rows: list[FileRow] = []
    for sheet, line, node in _pairs(root, "The file"):
        if sheet not in KINDS:
            raise refused(f"there is no list of that name; there are {', '.join(KINDS)}", line, sheet)
        for item in _items(node, sheet):
            rows.append(_row(KINDS[sheet], sheet, item))
            if len(rows) > MOST_ROWS:
                raise refused(f"has more than {MOST_ROWS:,} rows")
    return tuple(rows)


def _check_shape(text: str) -> None:
    """Refuse what would take for ever to read, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        if isinstance(event, yaml.AliasEvent):
            raise refused("uses an alias (*name): write the value out", _line(event))
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > _DEEPEST:
                raise refused("is nested more deeply than limits are", _line(event))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


def _row(kind: str, sheet: str, item: Node) -> FileRow:
    where = f"{sheet}, {_line(item)}"
    values = {name: _cell(node) for name, _, node in _pairs(item, where)}
    check_header(kind, list(values), where)
    return FileRow(kind, where, values)


def _pairs(node: Node | None, where: str) -> Iterator[tuple[str, str, Node]]:
    """Yield the names, places and values of a mapping; one that is named twice is refused, not overwritten."""
    if not isinstance(node, MappingNode):
        raise refused("expected names with values", where)
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise refused("expected a name", _line(key))
        if key.value in seen:
            raise refused("is there twice", _line(key), key.value)
        seen.add(key.value)
        yield key.value, _line(key), value


def _items(node: Node, sheet: str) -> list[Node]:
    if isinstance(node, ScalarNode) and _is_null(node):
        return []
    if not isinstance(node, SequenceNode):
        raise refused("expected a list", _line(node), sheet)
    return list(node.value)


def _cell(node: Node) -> Cell:
    if isinstance(node, ScalarNode):
        return None if _is_null(node) else str(node.value)
    if isinstance(node, SequenceNode) and all(isinstance(each, ScalarNode) for each in node.value):
        return [str(each.value) for each in node.value]
    raise refused("expected a value, or a list of names", _line(node))


def _is_null(node: ScalarNode) -> bool:
    return not node.style and node.value in ("", "~", "null")  # plain, not quoted


def _line(at: Node | yaml.Event) -> str:
    assert at.start_mark is not None  # it was read from text
    return f"line {at.start_mark.line + 1}"
