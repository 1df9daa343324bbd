"""The few constructs of PowerShell that a welcome page uses, run over the syntax tree of an independent grammar.

This is not PowerShell: it is an evaluator of ours, by what these pages of its documentation say, for versions 5.1 and later alike. What
they do not settle, what the versions differ in and what nobody needed so far raises instead of being guessed.

- about_Quoting_Rules: in single quotes nothing is replaced but '' by '; in double quotes variables are; quotes beyond ASCII are quotes too.
- about_Hash_Tables: a line break or semicolon separates pairs (here: a line break). Keys know no case, and none may come twice.
- about_Splatting: @name hands the pairs of the hashtable $name over as parameters and their values.
- Invoke-RestMethod: an answer in JSON becomes an object, a refusal an error. Before version 7.4 a body is sent as ASCII,
  and version 5.1 reads an answer that names no charset as ISO-8859-1.
- about_Pipelines, ConvertTo-Json: an array sent down a pipeline arrives as its elements, so one alone is written without brackets;
  `-Depth` says how many levels within what is written are kept, the default being 2.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import httpx2
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

PARSER = Parser(Language(tree_sitter_powershell.language()))
LAYERS = {
    *("pipeline", "pipeline_chain", "left_assignment_expression", "logical_expression", "bitwise_expression", "comparison_expression"),
    *("additive_expression", "multiplicative_expression", "format_expression", "range_expression", "array_literal_expression"),
    *("unary_expression", "string_literal", "integer_literal", "key_expression", "member_name"),
}
"""What may stand around a node and says nothing where it holds that node alone."""
Values = list[Any]
"""What goes down a pipeline."""


class PowerShellError(Exception):
    """PowerShell would refuse it, or it is more than is known here."""


class Session:
    """A window into which scripts are pasted: its variables stay, and so does what they set in the environment."""

    def __init__(self, environment: MutableMapping[str, str], typed: Sequence[str] = ()) -> None:
        self._environment = environment
        self._typed = iter(typed)
        self._variables: dict[str, Any] = {}
        self._commands: Mapping[str, Callable[[Values | None, dict[str, Any]], Values]] = {
            "invoke-restmethod": self._invoke_rest_method,
            "convertto-json": self._convert_to_json,
            "read-host": self._read_host,
        }

    def run(self, script: str) -> str:
        """What it prints. Nothing of it is run where any of it is no PowerShell.

        Raises: PowerShellError.
        """
        if not script.isascii():
            raise PowerShellError("beyond ASCII PowerShell knows further quotes, dashes and spaces, which the grammar does not")
        root = PARSER.parse(script.encode("ascii")).root_node
        if root.has_error:
            raise PowerShellError(f"not PowerShell: {next(_mistakes(root))}")
        (statements,) = _expect(root, "program", "statement_list")
        return "".join(self._statement(each) for each in statements.children)

    def _statement(self, node: Node) -> str:
        node = _inner(node)
        if node.type != "assignment_expression":
            return "".join(f"{_text(value)}\n" for value in self._outputs(node))
        target, operator, value = _expect(node, "assignment_expression", "left_assignment_expression", "assignement_operator", "pipeline")
        if _source(operator) != "=":
            raise _unknown(operator)
        name = _name(_inner(target), r"\$((?:env:)?\w+)").lower()
        if name.startswith("env:"):
            self._environment[_name(_inner(target), r"\$\w+:(\w+)")] = _text(self._value(value))
        else:
            self._variables[name] = self._value(value)
        return ""

    def _outputs(self, node: Node) -> Values:
        """What a pipeline gives."""
        node = _inner(node)
        first, *others = node.children if node.type == "pipeline_chain" else [node]
        first = _inner(first)
        if first.type == "command":
            values = self._command(first, None)
        else:
            value = self._expression(first)
            values = value if isinstance(value, list) else [value]
        for command in others[1::2]:  # the bars between them are nodes too
            values = self._command(_of(command, "command"), values)
        return values

    def _value(self, node: Node) -> Any:
        """The one value of a pipeline."""
        inner = _inner(node)
        if inner.type not in ("command", "pipeline_chain"):
            return self._expression(inner)
        outputs = self._outputs(inner)
        if len(outputs) != 1:
            raise _unknown(node)
        return outputs[0]

    def _expression(self, node: Node) -> Any:
        node = _inner(node)
        match node.type:
            case "verbatim_string_characters":
                return _source(node)[1:-1].replace("''", "'")
            case "expandable_string_literal":
                return self._expanded(node)
            case "hash_literal_expression":
                return self._hashtable(node)
            case "decimal_integer_literal" if _source(node).isdecimal():
                return int(_source(node))
            case "member_access":
                return self._member(node)
        raise _unknown(node)

    def _expanded(self, node: Node) -> str:
        """Plain text with variables of the environment, which are empty where they are not set."""
        found, place, quoted = "", 1, _source(node)
        for child in node.children:
            value = self._environment.get(_name(child, r"\$env:(\w+)", "variable"), "")
            found += _plain(quoted[place : child.start_byte - node.start_byte]) + value
            place = child.end_byte - node.start_byte
            if quoted[place] in ":?":
                raise PowerShellError(f"where does the name end? {quoted}")
        return found + _plain(quoted[place:-1])

    def _hashtable(self, node: Node) -> dict[str, Any]:
        _, body, _ = _expect(node, "hash_literal_expression", "@{", "hash_literal_body", "}")
        found: dict[str, Any] = {}
        for entry in body.children:
            key, _, value = _expect(entry, "hash_entry", "key_expression", "=", "pipeline")
            name = _name(_inner(key), r"([A-Za-z_]\w*)")
            if name.lower() in map(str.lower, found):
                raise PowerShellError(f"the key {name} twice")
            found[name] = self._value(value)
        return found

    def _member(self, node: Node) -> Any:
        owner, _, member = _expect(node, "member_access", "parenthesized_expression", ".", "member_name")
        _, pipeline, _ = _expect(owner, "parenthesized_expression", "(", "pipeline", ")")
        value = self._value(pipeline)
        name = _name(_inner(member), r"(\w+)")
        if not isinstance(value, dict):
            raise PowerShellError(f"a member {name} of what is no object")
        found = [each for key, each in value.items() if key.lower() == name.lower()]
        if len(found) != 1:
            raise PowerShellError(f"{len(found)} members {name}")
        return found[0]

    def _command(self, node: Node, given: Values | None) -> Values:
        name = _name(node.children[0], r"([\w-]+)", "command_name")
        run = self._commands.get(name.lower())
        if run is None:
            raise PowerShellError(f"the term {name} is not recognized")
        parameters: dict[str, Any] = {}
        for parameter, value in self._arguments(node):
            if parameter.lower() in parameters:
                raise PowerShellError(f"the parameter {parameter} twice")
            parameters[parameter.lower()] = value
        return run(given, parameters)

    def _arguments(self, node: Node) -> Iterator[tuple[str, Any]]:
        """Names of parameters and their values; that of a value by its place is empty."""
        elements = [child for part in node.children[1:] for child in _of(part, "command_elements").children]
        words = [_inner(each) for each in elements if each.type != "command_argument_sep"]
        if any(_source(each).strip(" ") for each in elements if each.type == "command_argument_sep"):
            raise _unknown(node)
        waiting = ""
        for word in words:
            if word.type == "command_parameter" and not waiting:
                waiting = _name(word, r"-(\w+)")
            elif word.type == "variable" and not waiting:
                yield from self._splatted(_name(word, r"@(\w+)"))
            else:
                yield waiting, self._expression(word)
                waiting = ""
        if waiting:
            raise PowerShellError(f"the parameter {waiting} without a value")

    def _splatted(self, name: str) -> Iterator[tuple[str, Any]]:
        table = self._variables.get(name.lower())
        if not isinstance(table, dict):
            raise PowerShellError(f"@{name} is no hashtable")
        yield from table.items()

    def _read_host(self, given: Values | None, parameters: dict[str, Any]) -> Values:
        if given is not None or list(parameters) != [""]:
            raise PowerShellError("Read-Host takes a prompt here, and nothing else")
        return [next(self._typed)]

    @staticmethod
    def _invoke_rest_method(given: Values | None, parameters: dict[str, Any]) -> Values:
        if given is not None or sorted(parameters) != ["body", "contenttype", "headers", "method", "uri"]:
            raise PowerShellError(f"Invoke-RestMethod takes Method, Uri, Headers, ContentType and Body here, not {', '.join(parameters)}")
        headers = parameters["headers"]
        if not isinstance(headers, dict):
            raise PowerShellError("the headers are no hashtable")
        sent = {name: _text(value) for name, value in headers.items()} | {"Content-Type": _text(parameters["contenttype"])}
        method, body = _text(parameters["method"]).upper(), _text(parameters["body"]).encode("ascii")
        with httpx2.Client(timeout=30, verify=False, trust_env=False) as client:  # no TLS: certificates take long to load
            answer = client.request(method, _text(parameters["uri"]), headers=sent, content=body)
        if not answer.is_success:
            raise PowerShellError(answer.text)
        if answer.headers["content-type"] != "application/json" or not answer.content.isascii():
            raise PowerShellError("the answer is no JSON that all versions read alike")
        return [answer.json()]

    @staticmethod
    def _convert_to_json(given: Values | None, parameters: dict[str, Any]) -> Values:
        depth = parameters.pop("depth", 2)
        if not given or parameters or not isinstance(depth, int):
            raise PowerShellError("ConvertTo-Json takes what comes down a pipeline here, and Depth")
        value = given[0] if len(given) == 1 else given
        if _levels(value) > depth + 1:
            raise PowerShellError(f"more levels than {depth}: what lies deeper would be lost")
        return [json.dumps(value, indent=2, ensure_ascii=False)]


def _mistakes(node: Node) -> Iterator[str]:
    if node.is_error or node.is_missing:
        line, column = node.start_point
        yield f"line {line + 1}, column {column + 1}"
    for child in node.children:
        yield from _mistakes(child)


def _inner(node: Node) -> Node:
    while node.type in LAYERS and node.child_count == 1:
        node = node.children[0]
    return node


def _expect(node: Node, type_: str, *children: str) -> list[Node]:
    """The children of a node, which must be of this type and have these."""
    if [child.type for child in _of(node, type_).children] != list(children):
        raise _unknown(node)
    return node.children


def _of(node: Node, type_: str) -> Node:
    if node.type != type_:
        raise _unknown(node)
    return node


def _name(node: Node, pattern: str, type_: str | None = None) -> str:
    """What the pattern captures of the whole of a node."""
    found = re.fullmatch(pattern, _source(_of(node, type_ or node.type)), re.ASCII)
    if found is None:
        raise _unknown(node)
    return found[1]


def _plain(text: str) -> str:
    """A part of a double-quoted text in which nothing is replaced."""
    if set(text) & set('$`"'):
        raise PowerShellError(f"not known here: {text!r}")
    return text


def _source(node: Node) -> str:
    return (node.text or b"").decode("ascii")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise PowerShellError(f"a text was expected, not {value!r}")
    return value


def _levels(value: Any) -> int:
    """How many containers lie in one another."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_levels, value.values() if isinstance(value, dict) else value), default=0)


def _unknown(node: Node) -> PowerShellError:
    return PowerShellError(f"not known here: {node.type} {_source(node)!r}")
