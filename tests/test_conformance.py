"""The specifications and the clients that people use, against one running server."""

import pytest

from conformance.suites import SUITES, Broken, a_server, installed, tried

pytestmark = pytest.mark.anyio


async def test_the_server_passes_every_suite():
    if not installed():
        pytest.fail("the clients are missing: make graphql-clients installs them", pytrace=False)
    broken = {}
    async with a_server() as url:
        for suite in SUITES:
            try:
                assert await tried(suite, url)
            except Broken as what:
                broken[suite] = str(what)

    assert broken == {}
