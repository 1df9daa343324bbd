"""Calls of `/admin` by one caller, as an operator's program makes them."""

from typing import Any

import httpx2
from stage import Live, problem


class Admin:
    """Every change of what exists sends the tag of what was read just before, unless a test says otherwise."""

    def __init__(self, live: Live, key: str) -> None:
        self.live = live
        self.key = key

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One call; bytes as CSV, anything else as JSON."""
        given = {"authorization": f"Bearer {self.key}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            return self.live.client.request(method, f"/admin{path}", headers={"content-type": "text/csv"} | given, content=body)
        return self.live.client.request(method, f"/admin{path}", headers=given, **({} if body is None else {"json": body}))

    def get(self, path: str) -> Any:
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, path: str, limit: int = 200) -> list[Any]:
        """Every item of a list, page by page."""
        items: list[Any] = []
        cursor = ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor and f'&cursor={cursor}'}")
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    def created(self, path: str, body: Any) -> Any:
        answer = self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"].startswith(f"/admin{path}/")
        return answer.json()

    def tag(self, path: str) -> str:
        """The tag of what a GET shows."""
        tag: str = self.send("GET", path).headers["etag"]
        return tag

    def edited(self, path: str, body: Any) -> Any:
        return self.changed("PATCH", path, body)

    def changed(self, method: str, path: str, body: Any = None, *, of: str | None = None) -> Any:
        """A change of the thing at `of`, the path itself unless given."""
        answer = self.send(method, path, body, if_match=self.tag(path if of is None else of))
        assert answer.status_code in (200, 204), answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, status: int, code: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The problem of a call, with a tag that matches anything unless the test sends one."""
        given = headers or ({"if_match": "*"} if method in ("PATCH", "DELETE") else {})
        return problem(self.send(method, path, body, **given), status, code)
