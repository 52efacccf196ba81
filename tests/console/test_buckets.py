"""In the browser: an owner connects a bucket, reads what the check found, and copies the fix."""

from __future__ import annotations

import os
import secrets

import boto3
import pytest
from playwright.sync_api import expect

from embedded.running import RunningStack
from tests.console.conftest import Opener

pytestmark = pytest.mark.stack


@pytest.fixture
def bucket(stack: RunningStack) -> str:
    """Make a bucket beside Upend's own, on the same server; return its name."""
    told, name = stack.environment, f"acme-lake-{secrets.token_hex(4)}"
    boto3.client(
        "s3",
        endpoint_url=told["UPEND_S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=told["UPEND_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=told["UPEND_S3_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 820)])
def test_it_connects_and_checks_a_bucket(
    theme: str, width: int, bucket: str, visit: Opener, stack: RunningStack
) -> None:
    told = stack.environment
    page = visit("buckets/connect?provider=seaweedfs", as_="owner", theme=theme, width=width)
    page.get_by_label("Name", exact=True).fill(f"Lake {theme}")
    page.get_by_label("Bucket", exact=True).fill(bucket)
    page.get_by_label("Prefix").fill("upend/")
    page.get_by_label("Endpoint", exact=True).fill(told["UPEND_S3_ENDPOINT"])
    expect(page.get_by_label("Role ARN")).to_be_hidden()
    page.get_by_label("A role").check()
    expect(page.get_by_label("Role ARN")).to_be_visible()
    page.get_by_label("A key", exact=True).check()
    page.get_by_label("Access key ID").fill(told["UPEND_S3_ACCESS_KEY_ID"])
    page.get_by_label("Secret access key").fill(told["UPEND_S3_SECRET_ACCESS_KEY"])
    page.get_by_label("Secret access key").press("Enter")
    steps = page.locator("table.checks")
    expect(steps.get_by_role("row")).to_have_count(18)
    expect(steps).to_contain_text("The keys reach outside upend/ too.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_label("Copy the JSON of Outside the prefix is refused").click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    assert f"{bucket}/upend/*" in page.evaluate("navigator.clipboard.readText()")
    if where := os.environ.get("UPEND_SCREENSHOTS"):
        page.screenshot(path=f"{where}/bucket-{theme}.png")
    assert told["UPEND_S3_SECRET_ACCESS_KEY"] not in page.content()
