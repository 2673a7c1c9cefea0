"""The specifications and the clients that people use, against one running server."""

import pytest

from conformance.suites import a_server, installed, verdicts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]


async def test_the_server_passes_every_suite():
    if not installed():
        pytest.fail("the clients are missing: make graphql-clients installs them", pytrace=False)
    async with a_server() as url:
        told = await verdicts(url)

    assert {verdict.suite: verdict.said for verdict in told if not verdict.passes} == {}
    assert all(verdict.said for verdict in told)
