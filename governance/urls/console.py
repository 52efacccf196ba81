"""Console addresses of policies, and of asking for access."""

from django.urls import path

from governance.views import (
    access,
    editing,
    holders,
    listing,
    replaying,
    reviews,
    simulating,
    steps,
    viewing,
)

PLACE = "w/<slug:workspace>/policies"
REVIEWS = "w/<slug:workspace>/access/reviews"
POLICY = f"{PLACE}/<slug:policy>"

urlpatterns = [
    path("w/<slug:workspace>/access", access.access, name="page-access"),
    path("w/<slug:workspace>/access/who", holders.holders, name="page-who"),
    path(REVIEWS, reviews.reviews, name="page-access-reviews"),
    path(f"{REVIEWS}/<uuid:identifier>", reviews.review, name="page-access-review"),
    path(
        f"{REVIEWS}/<uuid:identifier>/evidence.csv",
        reviews.evidence,
        name="page-access-review-evidence",
    ),
    path(
        f"{REVIEWS}/<uuid:identifier>/<uuid:item>/<slug:step>",
        reviews.decide_right,
        name="page-access-review-step",
    ),
    path(
        "w/<slug:workspace>/access/<uuid:identifier>/<slug:step>",
        access.decide_access,
        name="page-access-step",
    ),
    path(PLACE, listing.policies, name="page-policies"),
    path(f"{PLACE}/new", listing.new_policy, name="page-policy-new"),
    path(f"{PLACE}/new/scopes", listing.policy_scopes, name="page-policy-scopes"),
    path(f"{PLACE}/view-as", viewing.view_as_page, name="page-view-as"),
    path(POLICY, editing.policy, name="page-policy"),
    path(f"{POLICY}/draft", editing.begin_draft, name="page-policy-draft"),
    path(f"{POLICY}/compose", editing.compose, name="page-policy-compose"),
    path(f"{POLICY}/principals", editing.principals, name="page-policy-principals"),
    path(f"{POLICY}/check", editing.check, name="page-policy-check"),
    path(f"{POLICY}/save", editing.save, name="page-policy-save"),
    path(f"{POLICY}/impact", simulating.policy_impact, name="page-policy-impact"),
    path(f"{POLICY}/replays", replaying.policy_replay, name="page-policy-replay"),
    path(
        f"{POLICY}/replays/<uuid:replay>",
        replaying.replay_progress,
        name="page-policy-replay-progress",
    ),
    path(f"{POLICY}/steps/<slug:step>", steps.policy_step, name="page-policy-step"),
    path(f"{POLICY}/versions/<int:number>", editing.policy_version, name="page-policy-version"),
]
