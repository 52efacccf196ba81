"""Api addresses of this room."""

from django.urls import URLPattern, path

from governance.api import access, examining, files, policies, reviews, simulation, steps

POLICIES = "workspaces/<str:workspace>/policies"
POLICY = f"{POLICIES}/<slug:policy>"

ACCESS = "workspaces/<str:workspace>/access-requests"
ASKED = f"{ACCESS}/<uuid:identifier>"
REVIEWS = "workspaces/<str:workspace>/access-reviews"
REVIEW = f"{REVIEWS}/<uuid:identifier>"
RIGHT = f"{REVIEW}/items/<uuid:item>"

urlpatterns: list[URLPattern] = [
    path(ACCESS, access.AccessRequestsView.as_view(), name="api-access-requests"),
    path(ASKED, access.AccessRequestView.as_view(), name="api-access-request"),
    path(f"{ASKED}:decline", access.DeclineAccessView.as_view(), name="api-access-decline"),
    path(f"{ASKED}:grant", access.GrantAccessView.as_view(), name="api-access-grant"),
    path(f"{ASKED}:withdraw", access.WithdrawAccessView.as_view(), name="api-access-withdraw"),
    path(REVIEWS, reviews.AccessReviewsView.as_view(), name="api-access-reviews"),
    path(f"{REVIEW}:close", reviews.CloseReviewView.as_view(), name="api-access-review-close"),
    path(f"{REVIEW}:evidence", reviews.EvidenceView.as_view(), name="api-access-evidence"),
    path(f"{REVIEW}/items", reviews.AccessReviewItemsView.as_view(), name="api-access-items"),
    path(f"{RIGHT}:confirm", reviews.ConfirmRightView.as_view(), name="api-access-confirm"),
    path(f"{RIGHT}:revoke", reviews.RevokeRightView.as_view(), name="api-access-revoke"),
    path(POLICIES, policies.PoliciesView.as_view(), name="api-policies"),
    path(f"{POLICIES}:apply", files.ApplyView.as_view(), name="api-policies-apply"),
    path(f"{POLICIES}:check", examining.CheckNewView.as_view(), name="api-policies-check"),
    path(f"{POLICIES}:export", files.ExportView.as_view(), name="api-policies-export"),
    path(f"{POLICIES}:settings", policies.SettingsView.as_view(), name="api-policies-settings"),
    path(POLICY, policies.PolicyView.as_view(), name="api-policy"),
    path(f"{POLICY}:approve", steps.ApproveView.as_view(), name="api-policy-approve"),
    path(f"{POLICY}:check", examining.CheckView.as_view(), name="api-policy-check"),
    path(f"{POLICY}:diff", policies.DiffView.as_view(), name="api-policy-diff"),
    path(f"{POLICY}:draft", steps.DraftsView.as_view(), name="api-policy-draft"),
    path(f"{POLICY}:impact", simulation.ImpactView.as_view(), name="api-policy-impact"),
    path(f"{POLICY}:publish", steps.PublishView.as_view(), name="api-policy-publish"),
    path(f"{POLICY}:reject", steps.RejectView.as_view(), name="api-policy-reject"),
    path(f"{POLICY}:replay", simulation.ReplayStartView.as_view(), name="api-policy-replay"),
    path(f"{POLICY}/replays", simulation.ReplaysView.as_view(), name="api-policy-replays"),
    path(
        f"{POLICY}/replays/<uuid:replay>",
        simulation.ReplayView.as_view(),
        name="api-policy-replay-one",
    ),
    path(
        f"{POLICY}/replays/<uuid:replay>:cancel",
        simulation.ReplayCancelView.as_view(),
        name="api-policy-replay-cancel",
    ),
    path(f"{POLICY}:retire", steps.RetireView.as_view(), name="api-policy-retire"),
    path(f"{POLICY}:rollback", steps.RollBackView.as_view(), name="api-policy-rollback"),
    path(f"{POLICY}:submit", steps.SubmitView.as_view(), name="api-policy-submit"),
    path(f"{POLICY}:test", examining.TestView.as_view(), name="api-policy-test"),
    path(f"{POLICY}/versions", policies.VersionsView.as_view(), name="api-policy-versions"),
    path(f"{POLICY}/versions/<int:number>", steps.VersionView.as_view(), name="api-policy-version"),
]
