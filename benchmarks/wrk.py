"""Load over HTTP by wrk, and what came of it."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 16
FIGURES = "requests failed p50 p99 slowest rate"
# wrk prints the latencies of all requests only by a script
SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = io.open("{body}"):read("*a")
local paths, at = {{{paths}}}, 0
if #paths > 0 then
  function request()
    at = at % #paths + 1
    return wrk.format(nil, paths[at])
  end
end
if {pause} > 0 then
  function delay() return math.random(0, 2 * {pause}) end
end
function done(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("figures %d %d %f %f %f %f\\n", summary.requests, bad, latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6, latency.max / 1e6, 1e6 * summary.requests / summary.duration))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of one body.

    Attributes:
        paths: one after the other; none: the path alone.
        pause: seconds between an answer and the next request of its connection, on average.
    """

    body: Path
    path: str = "/invocations"
    paths: Sequence[str] = field(default=())
    pause: float = 0.0
    connections: int = CONNECTIONS

    def command(self, port: int, seconds: float) -> list[str]:
        """The call of wrk."""
        paths = ", ".join(f'"{path}"' for path in self.paths)
        script = self.body.with_name(f"{self.body.stem}-{abs(hash((self.path, paths, self.pause)))}.lua")
        script.write_text(SCRIPT.format(body=self.body, paths=paths, pause=round(1000 * self.pause)))
        wrk = shutil.which("wrk") or "wrk"
        how = ["-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(script)]
        return [wrk, *how, f"http://127.0.0.1:{port}{self.path}"]

    def run(self, port: int, seconds: float) -> Mapping[str, float]:
        """Requests, failed ones, p50, p99 and slowest in seconds, requests a second."""
        return figures(subprocess.run(self.command(port, seconds), capture_output=True, text=True, check=True).stdout)

    def begin(self, port: int, seconds: float) -> "subprocess.Popen[str]":
        """The same beside something else; its output is for `figures`."""
        return subprocess.Popen(self.command(port, seconds), stdout=subprocess.PIPE, text=True)


def figures(said: str) -> Mapping[str, float]:
    """What wrk said."""
    found = re.findall(r"^figures (.*)$", said, re.MULTILINE)[0].split()
    return dict(zip(FIGURES.split(), map(float, found), strict=True))
