"""Parses XML that somebody else wrote into a tree of elements, within named limits.

Refused: a document type that declares anything (so: every entity), more than
`XML_BYTES_MAX`, `XML_TAGS_MAX`, `XML_DEPTH_MAX` or `ATTRIBUTES_MAX`, another encoding than
UTF-8, what is not well-formed. Nothing is ever fetched. Comments and processing instructions
are left out, the text around them is one.

Pure: no I/O, no clock, no randomness.
"""

import re
from typing import Any

from lxml import etree

from ledger.errors import ParseError

XML_BYTES_MAX = 64 * 1024 * 1024
XML_DEPTH_MAX = 64
XML_TAGS_MAX = 4_000_000
ATTRIBUTES_MAX = 256
"""Attributes of one element."""


# A document type that declares nothing is what some exports begin with; it does no harm.
_EMPTY_DOCTYPE = re.compile(rb"<!DOCTYPE\s+[\w:.\-]{1,100}\s*>")
_START_TAG = re.compile(rb"<[^!?]")
_DECLARATION = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"']")


def parse_tree(data: bytes) -> Any:
    """Return the root element of an XML document, or raise `ParseError`, with the line."""
    if len(data) > XML_BYTES_MAX:
        raise ParseError("XML", f"has {len(data)} bytes, at most {XML_BYTES_MAX} are read")
    declared = _DECLARATION.match(data.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii", b"ascii"):
        raise ParseError("XML", f"is written in {declared[1].decode()}; write it in UTF-8")
    tags = data.count(b"<")
    if tags > XML_TAGS_MAX:
        raise ParseError("XML", f"has {tags} tags, at most {XML_TAGS_MAX} are read; split it")
    data = _without_empty_doctype(data)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ParseError("XML", "has a document type or an entity; write it without")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ParseError(f"XML line {error.lineno}", str(error.msg)) from None
    except ValueError as error:
        raise ParseError("XML", str(error)) from None
    _check_limits(root)
    return root


def _without_empty_doctype(data: bytes) -> bytes:
    """Return `data` without a document type that declares nothing, if it begins with one."""
    found, root = _EMPTY_DOCTYPE.search(data), _START_TAG.search(data)
    if found is None or (root is not None and root.start() < found.start()):
        return data
    return data[: found.start()] + data[found.end() :]


def _check_limits(root: Any) -> None:
    depth = 0
    for action, element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if action == "start" else -1
        if depth > XML_DEPTH_MAX:
            why = f"nests deeper than {XML_DEPTH_MAX} levels"
        elif action == "start" and len(element.attrib) > ATTRIBUTES_MAX:
            why = f"has an element with over {ATTRIBUTES_MAX} attributes"
        else:
            continue
        raise ParseError(f"XML line {element.sourceline}", why)
