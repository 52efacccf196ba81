"""Policies in git from the server's own shell: taken out, compared, applied as one person."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.domain import Actor
from accounts.models import User
from accounts.selectors import actor_for_user
from governance import policy_files
from governance.services import policies
from governance.services.policies import Change
from problems import Problem
from workspaces.models import Workspace
from workspaces.selectors import find_workspace

DIFFERS = 1
"""The exit code of `diff` where something would change, as git and diff have it."""


class Command(BaseCommand):
    """Export, compare and apply the policies of a workspace."""

    help = "Take a workspace's policies out as files, compare files with them, apply files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be said on the command line."""
        parser.add_argument("deed", choices=["export", "diff", "apply"])
        parser.add_argument("files", nargs="*", type=Path, help="YAML files, or folders of them.")
        parser.add_argument("--as", dest="email", required=True, help="Who acts, by e-mail.")
        parser.add_argument("--workspace", required=True, help="The workspace's slug or id.")
        parser.add_argument("--to", type=Path, help="export: a folder, one file a policy.")
        parser.add_argument(
            "--prune", action="store_true", help="Retire what is in force and in no file."
        )
        parser.add_argument("--dry-run", action="store_true", help="apply: as diff does.")
        parser.add_argument("--reason", default="", help="Kept in the ledger with each change.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do one of the three; `diff` ends with 1 where something would change."""
        try:
            actor, workspace = _who_and_where(options["email"], options["workspace"])
            if options["deed"] == "export":
                self._export(actor, workspace, options["to"])
                return
            dry_run = options["deed"] == "diff" or options["dry_run"]
            changes = policies.apply_files(
                actor=actor,
                workspace=workspace,
                files=policy_files.load(_read(options["files"])),
                prune=options["prune"],
                dry_run=dry_run,
                reason=options["reason"],
            )
        except Problem as problem:
            raise CommandError(" ".join(filter(None, [problem.detail, problem.hint]))) from problem
        self._show(changes)
        if any(change.problem for change in changes):
            message = "Some of the files cannot be applied."
            raise CommandError(message, returncode=2)
        if options["deed"] == "diff" and any(c.deed != "unchanged" for c in changes):
            raise SystemExit(DIFFERS)

    def _export(self, actor: Actor, workspace: Workspace, folder: Path | None) -> None:
        found = policies.export_files(actor, workspace)
        if folder is None:
            self.stdout.write(policy_files.dump(found), ending="")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for one in found:
            (folder / f"{one.name}.yaml").write_text(one.dump(), encoding="utf-8")
        self.stdout.write(f"Wrote {len(found)} policies to {folder}.")

    def _show(self, changes: list[Change]) -> None:
        for change in changes:
            outcome = f" → {change.outcome.replace('_', ' ')}" if change.outcome else ""
            self.stdout.write(f"{change.deed} {change.name}{outcome}")
            self.stdout.write(change.diff, ending="")
            if change.problem:
                said = " ".join(filter(None, map(change.problem.get, ("detail", "hint"))))
                self.stderr.write(f"  {said}")


def _who_and_where(email: str, reference: str) -> tuple[Actor, Workspace]:
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        message = f"There is no active person with the address {email}."
        raise CommandError(message)
    actor = actor_for_user(user)
    return actor, find_workspace(actor, reference)


def _read(paths: list[Path]) -> str:
    if not paths:
        message = "Name the files, or a folder of them."
        raise CommandError(message)
    files = [
        file
        for path in paths
        for file in (sorted(path.glob("**/*.y*ml")) if path.is_dir() else [path])
    ]
    try:
        return "\n".join(f"---\n{file.read_text(encoding='utf-8')}" for file in files)
    except (OSError, UnicodeDecodeError) as error:
        message = f"A file cannot be read: {error}"
        raise CommandError(message) from error
