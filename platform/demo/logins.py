"""The demo's passwords: random per installation, shown by every `demo`, kept for nobody else."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Login:
    """How one of the cast signs in: a person by password, a program by token."""

    name: str
    identity: str
    secret: str
    description: str


class LoginBook:
    """The logins of one installation, in a file that only its user may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logins = {login.name: login for login in self._read()}

    def __iter__(self) -> Iterator[Login]:
        return iter(self._logins.values())

    def password(self, name: str, identity: str, description: str) -> str:
        """Return the password of a person; a new one is kept before it is used anywhere."""
        if name not in self._logins:
            self.keep(Login(name, identity, _password(), description))
        elif self._logins[name].description != description:
            self.keep(replace(self._logins[name], description=description))
        return self._logins[name].secret

    def keep(self, login: Login) -> None:
        """Add a login and write the file."""
        self._logins[login.name] = login
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(json.dumps(asdict(known)) + "\n" for known in self._logins.values())

    def knows(self, name: str) -> bool:
        """Tell whether the login of `name` is kept."""
        return name in self._logins

    def _read(self) -> list[Login]:
        if not self._path.exists():
            return []
        return [Login(**json.loads(line)) for line in self._path.read_text().splitlines()]


def banner(url: str, book: LoginBook) -> str:
    """Return what a person needs to get in, as text."""
    rows = [f"  {login.identity:<24} {login.secret:<40} {login.description}" for login in book]
    return "\n".join(
        ["", f"Upend serves Demo Air at {url}", "", *rows, "", "These logins are this demo's only."]
    )


def _password() -> str:
    return "-".join(secrets.token_hex(2) for _ in range(4))
