"""Api addresses of this room."""

from django.urls import URLPattern, path

from governance.api import access, files, policies, steps

POLICIES = "workspaces/<str:workspace>/policies"
POLICY = f"{POLICIES}/<slug:policy>"

ACCESS = "workspaces/<str:workspace>/access-requests"
ASKED = f"{ACCESS}/<uuid:identifier>"

urlpatterns: list[URLPattern] = [
    path(ACCESS, access.AccessRequestsView.as_view(), name="api-access-requests"),
    path(ASKED, access.AccessRequestView.as_view(), name="api-access-request"),
    path(f"{ASKED}:decline", access.DeclineAccessView.as_view(), name="api-access-decline"),
    path(f"{ASKED}:grant", access.GrantAccessView.as_view(), name="api-access-grant"),
    path(f"{ASKED}:withdraw", access.WithdrawAccessView.as_view(), name="api-access-withdraw"),
    path(POLICIES, policies.PoliciesView.as_view(), name="api-policies"),
    path(f"{POLICIES}:apply", files.ApplyView.as_view(), name="api-policies-apply"),
    path(f"{POLICIES}:check", steps.CheckNewView.as_view(), name="api-policies-check"),
    path(f"{POLICIES}:export", files.ExportView.as_view(), name="api-policies-export"),
    path(f"{POLICIES}:settings", policies.SettingsView.as_view(), name="api-policies-settings"),
    path(POLICY, policies.PolicyView.as_view(), name="api-policy"),
    path(f"{POLICY}:approve", steps.ApproveView.as_view(), name="api-policy-approve"),
    path(f"{POLICY}:check", steps.CheckView.as_view(), name="api-policy-check"),
    path(f"{POLICY}:diff", policies.DiffView.as_view(), name="api-policy-diff"),
    path(f"{POLICY}:draft", steps.DraftsView.as_view(), name="api-policy-draft"),
    path(f"{POLICY}:publish", steps.PublishView.as_view(), name="api-policy-publish"),
    path(f"{POLICY}:reject", steps.RejectView.as_view(), name="api-policy-reject"),
    path(f"{POLICY}:retire", steps.RetireView.as_view(), name="api-policy-retire"),
    path(f"{POLICY}:rollback", steps.RollBackView.as_view(), name="api-policy-rollback"),
    path(f"{POLICY}:submit", steps.SubmitView.as_view(), name="api-policy-submit"),
    path(f"{POLICY}:test", steps.TestView.as_view(), name="api-policy-test"),
    path(f"{POLICY}/versions", policies.VersionsView.as_view(), name="api-policy-versions"),
    path(f"{POLICY}/versions/<int:number>", steps.VersionView.as_view(), name="api-policy-version"),
]
