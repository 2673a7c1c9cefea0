"""The specifications and the clients that people use, against one running server."""

import pytest

from conformance.suites import SUITES, a_server, installed, tried

pytestmark = pytest.mark.anyio

if not installed():
    pytest.fail("the clients are missing: make graphql-clients installs them", pytrace=False)


@pytest.fixture(scope="module")
async def url(anyio_backend):
    async with a_server() as url:
        yield url


@pytest.mark.parametrize("suite", SUITES)
async def test_server_passes(url, suite):
    assert await tried(suite, url)
