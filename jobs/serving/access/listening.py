"""Which addresses the service may listen on: without keys, those that only this machine reaches."""

import ipaddress
import socket

from schemas.errors import SettingsError
from schemas.settings import Serving


def assert_may_listen(serving: Serving) -> None:
    """Refuse settings that would let others in who have no key.

    Raises:
        SettingsError: says which setting, and what to do.
    """
    if not serving.keys and not is_loopback(serving.host):
        msg = (
            f"serving.host is '{serving.host}', which other machines reach, and there are no serving.keys; make one: "
            f"streamscore serve-key NAME, or listen on 127.0.0.1"
        )
        raise SettingsError(msg)
    if serving.admin_port and not any(key.admin for key in serving.keys):
        msg = (
            "serving.admin_port is set, and none of serving.keys is an admin key; make one: "
            "streamscore serve-key NAME --admin"
        )
        raise SettingsError(msg)
    if serving.admin_port and serving.admin_port == serving.port:
        msg = f"serving.admin_port is {serving.admin_port}, and so is serving.port; wanted two ports"
        raise SettingsError(msg)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; of a name, all its addresses."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
