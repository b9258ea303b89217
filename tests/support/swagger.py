"""Swagger UI in a real browser that reaches nothing but the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.programs import browser

SECONDS = 60
SIZE: Any = {"width": 1100, "height": 1000}


class Swagger:
    """A page of Swagger UI.

    Attributes:
        blocked: the addresses that it asked for and did not get.
        errors: what its scripts complained of.
    """

    def __init__(self, page: Any, url: str) -> None:
        self._page, self._url = page, url
        self.blocked: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(SECONDS * 1000)
        page.route("**/*", self._reach)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str) -> None:
        """Open the page and wait for its operations."""
        self._page.goto(self._url + path)
        self._page.wait_for_selector(".opblock")

    def try_out(self, operation: str) -> tuple[int, str]:
        """Send an operation's example by "Try it out"; the status and the body of the answer that the page shows."""
        block = self._page.locator(f"#operations-default-{operation}")
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
        block.locator("button.execute").click()
        answer = block.locator(".live-responses-table tbody tr").first
        answer.wait_for()
        status = int(answer.locator(".response-col_status").inner_text().split()[0])
        return status, answer.locator(".response-col_description .highlight-code pre").first.inner_text()

    def picture(self, operation: str, path: Path) -> None:
        """An operation that was tried out, from its request to its answer, as a picture."""
        self._page.locator(f"#operations-default-{operation} .responses-inner > div").first.screenshot(path=path)

    def _reach(self, route: Any) -> None:
        if route.request.url.startswith((self._url, "data:")):
            route.continue_()
        else:
            self.blocked.append(route.request.url)
            route.abort()


@contextmanager
def swagger(url: str) -> Iterator[Swagger]:
    """A browser of this machine, without a network: names are not resolved, and other addresses not reached."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=arguments)
        try:
            yield Swagger(chromium.new_page(viewport=SIZE), url)
        finally:
            chromium.close()
