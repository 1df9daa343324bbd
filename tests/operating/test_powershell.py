"""What the evaluator of the tests makes of the PowerShell of a welcome page when it is right, and when it is broken."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from powershell import PowerShellError, Session

from gatehouse.operating.welcome_code import POWERSHELL, powershell_text


class Echo:
    """A server that answers with what it is told, and keeps what it got."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/models/iris/predict"
        self.predictions: Any = [{"label": "setosa"}]
        self.status = 200
        self.escaping = True
        self.taken: list[tuple[str, str, str, bytes]] = []

    def program(self, body: str = '{"instances": []}') -> str:
        return POWERSHELL.format(url=powershell_text(self.url), body=powershell_text(body))

    def printed(self, program: str) -> str:
        return Session({"PARTNER_KEY": "gate_key"}).run(program)


@pytest.fixture
def echo() -> Iterator[Echo]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.taken.append((self.path, self.headers["Authorization"], self.headers["Content-Type"], body))
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"model": "iris", "predictions": state.predictions}, ensure_ascii=state.escaping).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        state = Echo(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def test_the_program_sends_what_it_says(echo: Echo) -> None:
    assert json.loads(echo.printed(echo.program())) == {"label": "setosa"}
    assert echo.taken == [("/v1/models/iris/predict", "Bearer gate_key", "application/json", b'{"instances": []}')]


@pytest.mark.parametrize(
    "body", ["it's ''two''", "a `backtick` `n `$", "$call $env:PARTNER_KEY ${x} $(1)", '"@{ A = 1 }" | #', "a\nb", "'"]
)
def test_nothing_is_replaced_in_single_quotes(echo: Echo, body: str) -> None:
    echo.printed(echo.program(body))
    assert echo.taken[0][3] == body.encode()


@pytest.mark.parametrize(
    ("predictions", "printed"),
    [
        ([1.5], "1.5\n"),
        ([1.5, 2], "[\n  1.5,\n  2\n]\n"),
        ([[1, 2]], "[\n  1,\n  2\n]\n"),
        ([{"a": "é"}], '{\n  "a": "é"\n}\n'),
        ("x", '"x"\n'),
    ],
)
def test_one_element_comes_out_of_a_pipeline_without_its_array(echo: Echo, predictions: Any, printed: str) -> None:
    echo.predictions = predictions
    assert echo.printed(echo.program()) == printed


def test_names_know_no_case_and_a_variable_that_is_not_set_is_empty(echo: Echo) -> None:
    program = echo.program().replace("$call", "$CALL").replace("Body", "body").replace(").predictions", ").Predictions")
    program = program.replace("Invoke-RestMethod", "invoke-restMethod").replace("-Depth", "-depth")
    assert json.loads(echo.printed(program.replace("PARTNER_KEY", "NOBODY key"))) == {"label": "setosa"}
    assert echo.taken[0][1] == "Bearer  key"


def test_a_window_keeps_its_variables_and_what_is_typed_into_it(echo: Echo) -> None:
    session = Session({}, typed=["gate_typed"])
    assert session.run("$env:PARTNER_KEY = Read-Host 'API key'\n") == ""
    first, last = echo.program().split("\n(")
    assert session.run(first) == ""
    assert json.loads(session.run(f"({last}")) == {"label": "setosa"}
    assert echo.taken[0][1] == "Bearer gate_typed"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("\n}\n", "\n", "not PowerShell"),
        ('KEY" }', 'KEY"', "not PowerShell"),
        ("'application/json'", "'application/json", "not PowerShell"),
        ("'application/json'", "application/json'", "not PowerShell"),
        ("'application/json'", "'it's'", "not PowerShell"),
        ('KEY" }', "KEY }", "not PowerShell"),
        (").pred", ") .pred", "not PowerShell"),
        ("(Invoke-RestMethod @call)", "(Invoke-RestMethod @call", "not PowerShell"),
        ("(Invoke-RestMethod ", "(Invoke-RestMethod\n", "not PowerShell"),
        ("\n  ContentType", " ContentType", "not PowerShell"),
        ("Method = 'Post'\n", "Method : 'Post'\n", "not PowerShell"),
        ("'Post'", "‘Post’", "beyond ASCII"),
        ("'Post'", "'Post’s'", "beyond ASCII"),
    ],
)
def test_what_is_no_powershell_is_not_begun(echo: Echo, before: str, after: str, said: str) -> None:
    broken = echo.program().replace(before, after)
    assert broken != echo.program()
    with pytest.raises(PowerShellError, match=said):
        echo.printed(broken)
    assert echo.taken == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("Invoke-RestMethod", "Invoke-RestMetod", "the term Invoke-RestMetod is not recognized"),
        ("Invoke-RestMethod", "curl", "the term curl is not recognized"),
        ("@call", "@cal", "@cal is no hashtable"),
        ("@call)", "$call)", "not known here"),
        ("  Uri =", "  Url =", "Invoke-RestMethod takes .* not method, url, headers"),
        ("  Uri =", "  Method = 'Post'\n  Uri =", "the key Method twice"),
        ("  Uri =", "  method = 'Post'\n  Uri =", "the key method twice"),
        ("  Method = 'Post'\n", "", "Invoke-RestMethod takes"),
        ("@call)", "@call -Method Post)", "not known here"),
        ("@call)", "@call -Method 'Post')", "the parameter Method twice"),
        ('Headers = @{ Authorization = "Bearer $env:PARTNER_KEY" }', "Headers = 'Authorization'", "the headers are no hashtable"),
        ("$env:PARTNER_KEY", "`$env:PARTNER_KEY", "not known here"),
        ("$env:PARTNER_KEY", "$PARTNER_KEY", "not known here"),
        ("$env:PARTNER_KEY", "$env:PARTNER_KEY:x", "where does the name end"),
        ("$env:PARTNER_KEY", "$(Get-Secret)", "not known here"),
        ("'Post'", "'Post' + ''", "not known here"),
        ("'Post'", "Post", "the term Post is not recognized"),
        ("\n  ContentType", "; ContentType", "not known here"),
        ("$call =", "$call +=", "not known here"),
        ("$call =", "# the call\n$call =", "not known here"),
    ],
)
def test_what_powershell_refuses_or_nobody_needed_raises_before_anything_is_sent(echo: Echo, before: str, after: str, said: str) -> None:
    broken = echo.program().replace(before, after)
    assert broken != echo.program()
    with pytest.raises(PowerShellError, match=said):
        echo.printed(broken)
    assert echo.taken == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (").predictions", ").prediction", "0 members prediction"),
        ("ConvertTo-Json -Depth 5", "ConvertTo-Jso", "the term ConvertTo-Jso is not recognized"),
        ("-Depth 5", "-Deep 5", "ConvertTo-Json takes"),
        ("-Depth 5", "-Depth", "the parameter Depth without a value"),
        ("-Depth 5", "-Depth:5", "not known here"),
        ("-Depth 5", "-Depth 0", "more levels than 0"),
        (" | ConvertTo-Json -Depth 5", "", "a text was expected"),
    ],
)
def test_an_answer_that_would_not_be_printed_raises(echo: Echo, before: str, after: str, said: str) -> None:
    echo.predictions = [{"probabilities": {"setosa": 1.0}}]
    broken = echo.program().replace(before, after)
    assert broken != echo.program()
    with pytest.raises(PowerShellError, match=said):
        echo.printed(broken)


def test_an_answer_that_old_versions_would_misread_raises(echo: Echo) -> None:
    echo.predictions, echo.escaping = [{"label": "é"}], False
    with pytest.raises(PowerShellError, match="no JSON that all versions read alike"):
        echo.printed(echo.program())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("(Read-Host 'x').Length | ConvertTo-Json\n", "a member Length of what is no object"),
        ("Read-Host -Prompt 'x'\n", "Read-Host takes a prompt here"),
        ("'x' | Read-Host 'y'\n", "Read-Host takes a prompt here"),
        ("'x' | Invoke-RestMethod\n", "Invoke-RestMethod takes"),
        ("ConvertTo-Json 'x'\n", "ConvertTo-Json takes"),
        ("& Read-Host 'x'\n", "not known here"),
        ("Read-Host 'x' > file\n", "not known here"),
        ("Read-Host 'x'; Read-Host 'y'\n", "not known here"),
        ("", "not PowerShell: line 1, column 1"),
    ],
)
def test_what_no_page_says_is_not_guessed(script: str, said: str) -> None:
    with pytest.raises(PowerShellError, match=said):
        Session({}, typed=["a text"]).run(script)


def test_levels_are_those_within_what_is_written(echo: Echo) -> None:
    echo.predictions = [{"a": {"b": {"c": [1]}}}]
    program = echo.program().replace("-Depth 5", "-Depth 3")
    assert json.loads(echo.printed(program)) == echo.predictions[0]
    with pytest.raises(PowerShellError, match="more levels than 2"):
        echo.printed(program.replace(" -Depth 3", ""))
    echo.predictions *= 2
    with pytest.raises(PowerShellError, match="more levels than 3"):
        echo.printed(program)


def test_a_refusal_raises_with_the_whole_answer(echo: Echo) -> None:
    echo.status = 422
    with pytest.raises(PowerShellError, match='"label": "setosa"'):
        echo.printed(echo.program())
