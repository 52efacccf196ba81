"""The page of what an organization settles for everyone: local compute, tags, attributes."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from accounts import services as accounts
from accounts.domain import Actor, OrganizationRole
from accounts.models import Organization, ServiceAccount, User
from accounts.selectors import organization_of
from console.access import actor_of, signed_in
from console.refusals import answer
from governance import services as governance
from governance.details import CLASSIFICATION
from governance.models import TagAssignment, TagDefinition
from problems import Invalid, NotFound, Problem


@require_safe
@signed_in
def page(request: HttpRequest) -> HttpResponseBase:
    """Show what holds for the whole organization; administrators change it here."""
    return _page(request)


@require_POST
@signed_in
def switch_local_mode(request: HttpRequest) -> HttpResponseBase:
    """Turn local compute off for everyone, or on again."""
    is_on = request.POST.get("enabled") == "yes"
    actor, organization = _own(request)
    accounts.change_organization(actor=actor, organization=organization, local_mode_enabled=is_on)
    told = (
        "Local compute is on again: policies decide who runs what on their machine."
        if is_on
        else "Local compute is off. No machine gets another file, manifest or extract."
    )
    messages.success(request, told)
    return redirect("page-organization")


@require_POST
@signed_in
def switch_governed_tags(request: HttpRequest) -> HttpResponseBase:
    """Say whether tags must be defined before anyone may use them."""
    is_on = request.POST.get("enabled") == "yes"
    actor, organization = _own(request)
    accounts.change_organization(actor=actor, organization=organization, governed_tags_only=is_on)
    told = "Only defined tags may be assigned." if is_on else "Any tag may be assigned."
    messages.success(request, f"{told} What is tagged already keeps its tags.")
    return redirect("page-organization")


@require_POST
@signed_in
def define_tag(request: HttpRequest) -> HttpResponseBase:
    """Say what a tag means, or say it anew."""
    actor, organization = _own(request)
    name = request.POST.get("name", "").strip()
    description = request.POST.get("description", "").strip()
    values = request.POST.get("allowed_values", "").replace(",", " ").split()
    is_governed = request.POST.get("is_governed") == "yes"
    try:
        found = _definitions(organization).filter(name=name).first()
        if found is None:
            governance.define_tag(
                actor=actor,
                organization=organization,
                name=name,
                description=description,
                allowed_values=values,
                is_governed=is_governed,
            )
        else:
            governance.change_tag_definition(
                actor=actor,
                definition=found,
                description=description,
                allowed_values=values,
                is_governed=is_governed,
            )
    except (Invalid, governance.TagInUse) as problem:
        return _page(request, problem)
    messages.success(request, f"{name} is defined.")
    return redirect("page-organization")


@require_POST
@signed_in
def delete_tag(request: HttpRequest, tag: str) -> HttpResponseBase:
    """Forget what a tag means that nothing bears."""
    actor, organization = _own(request)
    found = _definitions(organization).filter(name=tag).first()
    if found is None:
        raise NotFound("There is no such definition any more.")
    try:
        governance.delete_tag_definition(actor=actor, definition=found)
    except governance.TagInUse as problem:
        return _page(request, problem)
    messages.success(request, f"{tag} is no longer defined.")
    return redirect("page-organization")


@require_POST
@signed_in
def set_attributes(request: HttpRequest, kind: str, principal: UUID) -> HttpResponseBase:
    """Give a person or a program the attributes of a form: one `name=value` a line."""
    actor, organization = _own(request)
    people = User.objects.filter(organization=organization, id=principal)
    programs = ServiceAccount.objects.filter(organization=organization, id=principal)
    found = people.first() if kind == "user" else programs.first()
    if found is None:
        raise NotFound("There is nobody of that id in your organization.")
    try:
        accounts.set_attributes(
            actor=actor,
            principal=found,
            attributes=_attributes(request.POST.get("attributes", "")),
        )
    except Invalid as problem:
        return _page(request, problem)
    messages.success(request, f"The attributes of {found} are set; policies look at them now.")
    return redirect("page-organization")


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise Invalid(
                f"{line[:80]!r} is no attribute.", hint="Write one `name=value` a line: region=eu."
            )
        found[name.strip()] = value.strip()
    return found


def _own(request: HttpRequest) -> tuple[Actor, Organization]:
    actor = actor_of(request)
    organization = organization_of(actor)
    if organization is None:
        raise NotFound("You belong to no organization.")
    return actor, organization


def _definitions(organization: Organization) -> QuerySet[TagDefinition]:
    return TagDefinition.objects.filter(organization=organization).select_related("organization")


def _page(request: HttpRequest, problem: Problem | None = None) -> HttpResponseBase:
    actor, organization = _own(request)
    may_change = actor.organization_role is OrganizationRole.ADMIN
    free = TagAssignment.objects.filter(organization=organization).exclude(
        tag__in=_definitions(organization).values("name")
    )
    free = free.exclude(tag=CLASSIFICATION)
    context = {
        "organization": organization,
        "definitions": _definitions(organization),
        "free_tags": free.order_by("tag").values_list("tag", flat=True).distinct(),
        "people": User.objects.filter(organization=organization, is_active=True).order_by("email"),
        "programs": ServiceAccount.objects.filter(
            organization=organization, disabled_at__isnull=True
        ).order_by("name"),
        "may_change": may_change,
        "may_see_people": may_change or actor.organization_role is OrganizationRole.AUDITOR,
    }
    return answer(request, "governance/organization.html", context, problem)
