"""A person at a browser, as plain HTTP: signs in by the form and answers the device page."""

from __future__ import annotations

import re

import httpx


class Browser:
    """One person's browser; it is closed once the person has decided."""

    def __init__(self, server: str, email: str, password: str) -> None:
        self.http = httpx.Client(base_url=server, follow_redirects=True, timeout=60)
        page = self.http.get("/accounts/login/")
        self.http.post(
            "/accounts/login/",
            data={
                "login": email,
                "password": password,
                "csrfmiddlewaretoken": self.token_in(page.text),
            },
            headers={"Referer": str(page.url)},
        )
        assert "upend_session" in self.http.cookies, "the sign-in form did not let the person in"

    def token_in(self, page: str) -> str:
        """Return the token of a page's form."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, "the page has no form"
        return found[1]

    def decide(self, url: str, action: str = "confirm") -> None:
        """Answer the device page at `url`: `confirm` or `deny`."""
        page = self.http.get(url)
        assert page.status_code == 200, page.text
        answer = self.http.post(
            url,
            data={"action": action, "csrfmiddlewaretoken": self.token_in(page.text)},
            headers={"Referer": url},
        )
        assert answer.status_code == 200
        assert 'name="action"' not in answer.text, "the answer was not taken"
        self.http.close()
