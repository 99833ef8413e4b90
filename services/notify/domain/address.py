"""Where a webhook may go, and where it never may: the addresses, and the URLs that name them. Pure.

Whoever may give an address could otherwise make us ask our own machines (OWASP: server-side request forgery). The list
is our own: `ipaddress.is_global` lets multicast, NAT64, 6to4 and more through, and differs between Python's releases.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import idna

from chassis.problem import Problem

Network = IPv4Network | IPv6Network

URL_MAX_CHARS = 2_048
HOST_MAX_CHARS = 253
"""RFC 1035 §2.3.4, without the root's dot."""

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

# IANA's registries of special-purpose addresses, IPv4 and IPv6, and what clouds answer their own machines on. An exact
# address stands before the network that it lies in: the first match names the reason.
_NEVER: Final[dict[Network, str]] = {
    ip_network(network): name
    for network, name in {
        "169.254.169.254/32": "cloud metadata (AWS, Azure, Google)",
        "168.63.129.16/32": "cloud platform (Azure)",
        "100.100.100.200/32": "cloud metadata (Alibaba)",
        "192.0.0.192/32": "cloud metadata (Oracle)",
        "0.0.0.0/8": "this network (RFC 791)",
        "127.0.0.0/8": "loopback (RFC 1122)",
        "169.254.0.0/16": "link-local (RFC 3927)",
        "192.0.0.0/24": "IETF protocol assignments (RFC 6890)",
        "192.0.2.0/24": "documentation (RFC 5737)",
        "192.31.196.0/24": "AS112 (RFC 7535)",
        "192.52.193.0/24": "automatic multicast tunneling (RFC 7450)",
        "192.88.99.0/24": "6to4 relay anycast (RFC 7526)",
        "192.175.48.0/24": "AS112 (RFC 7534)",
        "198.18.0.0/15": "benchmarking (RFC 2544)",
        "198.51.100.0/24": "documentation (RFC 5737)",
        "203.0.113.0/24": "documentation (RFC 5737)",
        "224.0.0.0/4": "multicast (RFC 5771)",
        "255.255.255.255/32": "limited broadcast (RFC 8190)",
        "240.0.0.0/4": "reserved (RFC 1112)",
        "fd00:ec2::/32": "cloud metadata (AWS)",
        "fd20:ce::254/128": "cloud metadata (Google)",
        "::/128": "unspecified (RFC 4291)",
        "::1/128": "loopback (RFC 4291)",
        # Each of these carries an IPv4 address, hence any of the above, past whoever compares networks.
        "::ffff:0:0/96": "IPv4-mapped (RFC 4291)",
        "::/96": "IPv4-compatible (RFC 4291)",
        "64:ff9b::/96": "NAT64 (RFC 6052)",
        "64:ff9b:1::/48": "local NAT64 (RFC 8215)",
        "2001::/32": "Teredo (RFC 4380)",
        "2002::/16": "6to4 (RFC 3056)",
        "100::/64": "discard-only (RFC 6666)",
        "100:0:0:1::/64": "dummy prefix (RFC 9780)",
        "2001::/23": "IETF protocol assignments (RFC 2928)",
        "2001:db8::/32": "documentation (RFC 3849)",
        "2620:4f:8000::/48": "AS112 (RFC 7534)",
        "3fff::/20": "documentation (RFC 9637)",
        "5f00::/16": "segment routing (RFC 9602)",
        "fe80::/10": "link-local (RFC 4291)",
        "fec0::/10": "site-local (RFC 3879)",
        "ff00::/8": "multicast (RFC 4291)",
    }.items()
}
# What an administrator may open, for one endpoint, by a network that lies within.
_PRIVATE: Final[dict[Network, str]] = {
    ip_network("10.0.0.0/8"): "private use (RFC 1918)",
    ip_network("172.16.0.0/12"): "private use (RFC 1918)",
    ip_network("192.168.0.0/16"): "private use (RFC 1918)",
    ip_network("100.64.0.0/10"): "shared between carrier and customer (RFC 6598)",
    ip_network("fc00::/7"): "unique local (RFC 4193)",
}
CLOSED: Final[tuple[Network, ...]] = (*_NEVER, *_PRIVATE)
"""Where no webhook goes, unless an administrator opened what is private: the cluster's network policy keeps to it."""
GLOBAL_UNICAST: Final = ip_network("2000::/3")
"""All that IANA has given out of IPv6 so far."""

_ISATAP, _ISATAP_BITS = 0x0000_5EFE, 0xFDFF_FFFF
"""RFC 5214 §6.1: the upper half of the interface identifier, its universal bit set or not, before an IPv4 address."""

# Names that stand for something near whoever asks: RFC 6761 and 6762, ICANN's resolution 2024.07.29.06; of .arpa
# home.arpa (RFC 8375) and the names of addresses.
_LOCAL_NAMES = frozenset({"localhost", "local", "internal", "arpa"})

# Only what every parser reads alike: a subset of RFC 3986, its host further narrowed below.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/?#@\[\]]*)@)?"
    r"(?P<host>\[[^/?#@\[\]]*\]|[^/?#@:\[\]]*)(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<rest>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)(?P<fragment>#.*)?",
    re.ASCII,
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

_REASONS: Final[dict[str, tuple[str, str]]] = {
    "too_long": (
        f"It has more than {URL_MAX_CHARS} characters, or its host more than {HOST_MAX_CHARS}. Give a shorter one.",
        f"Lebih dari {URL_MAX_CHARS} karakter, atau host-nya lebih dari {HOST_MAX_CHARS}. Berikan yang lebih pendek.",
    ),
    "malformed": (
        "It is not a URL as in RFC 3986. Send https://host/path; percent-encode spaces and other characters.",
        "Bukan URL menurut RFC 3986. Kirim https://host/path; tulis spasi dan karakter lain dalam bentuk persen.",
    ),
    "not_https": (
        "Events go over TLS alone. Give an address that begins with https://.",
        "Peristiwa hanya dikirim lewat TLS. Berikan alamat yang diawali https://.",
    ),
    "credentials": (
        "It holds a user name or a password. Leave them out; check our signature instead.",
        "Memuat nama pengguna atau kata sandi. Hapus; periksa tanda tangan kami sebagai gantinya.",
    ),
    "fragment": (
        "What follows # is never sent. Leave it out.",
        "Bagian setelah # tidak pernah dikirim. Hapus bagian itu.",
    ),
    "no_host": ("It names no host. Send https://host/path.", "Tidak ada host. Kirim https://host/path."),
    "port": (
        "Events are not sent to this port. Use 443, or another one that the documentation lists.",
        "Peristiwa tidak dikirim ke port ini. Gunakan 443, atau port lain yang tercantum di dokumentasi.",
    ),
    "single_label": (
        "The host is not a full domain name. Give the one that is in public DNS, such as spbe.example.go.id.",
        "Host bukan nama domain lengkap. Berikan yang ada di DNS publik, misalnya spbe.example.go.id.",
    ),
    "local_name": (
        "The host is a name of local networks. Give the one that is in public DNS, such as spbe.example.go.id.",
        "Host adalah nama jaringan lokal. Berikan yang ada di DNS publik, misalnya spbe.example.go.id.",
    ),
    "not_canonical": (
        "The host is an IP address in an unusual spelling. Give a domain name, or four decimal numbers.",
        "Host adalah alamat IP dengan penulisan tidak lazim. Berikan nama domain, atau empat angka desimal.",
    ),
    "literal_forbidden": (
        "Events are never sent to this IP address. Give one that is reachable from the Internet.",
        "Peristiwa tidak pernah dikirim ke alamat IP ini. Berikan yang dapat dijangkau dari Internet.",
    ),
}


class UnsafeAddress(Problem):
    """Nothing is sent to such a URL; `reason` is a stable code."""

    status, code, title = 422, "unsafe_address", "Events cannot be sent to this address"

    def __init__(self, reason: str) -> None:
        detail, detail_id = _REASONS[reason]
        super().__init__(detail, detail_id, reason=reason)


def forbidden(address: str, *, allowed: Sequence[Network] = (), lab: bool = False) -> str | None:
    """Why nothing may be sent to an IP address: the name of its network and where that stands; None if it may.

    `allowed` are networks that an administrator recorded for this endpoint: they open what is private (RFC 1918, 6598,
    4193) and nothing else. `lab` opens loopback alone.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "not an IP address"
    if lab and _is_loopback(ip):
        return None
    for network, name in _NEVER.items():
        if ip in network:
            return name
    if any(ip in network for network in allowed) and any(ip in network for network in _PRIVATE):
        return None
    for network, name in _PRIVATE.items():
        if ip in network:
            return name
    if isinstance(ip, IPv4Address):
        return None
    if int(ip) >> 32 & _ISATAP_BITS == _ISATAP:
        return "ISATAP (RFC 5214)"
    return None if ip in GLOBAL_UNICAST else "not global unicast (RFC 4291)"


def check_url(url: str, *, ports: frozenset[int], allowed: Sequence[Network] = (), lab: bool = False) -> str:
    """The URL as it is to be kept and sent to: scheme and host in lower case, ASCII (RFC 5891), no port that goes
    without saying; path and query as they were. Checking that again changes nothing.

    Names are not looked up: what they resolve to is judged at every connection. `lab` also takes loopback, on any port
    and without TLS. Raises UnsafeAddress.
    """
    if len(url) > URL_MAX_CHARS:
        raise UnsafeAddress("too_long")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise UnsafeAddress("malformed")
    scheme = parts["scheme"].lower()
    if scheme not in ("https", "http"):
        raise UnsafeAddress("not_https")
    if parts["user"] is not None:
        raise UnsafeAddress("credentials")
    if parts["fragment"] is not None:
        raise UnsafeAddress("fragment")
    host = _host(parts["host"])
    own = lab and (host == "localhost" or (not isinstance(host, str) and _is_loopback(host)))
    if not own:
        if scheme != "https":
            raise UnsafeAddress("not_https")
        _check_host(host, allowed)
    default = 443 if scheme == "https" else 80
    port = int(parts["port"] or default)
    if not (0 < port < 1 << 16 if own else port in ports):
        raise UnsafeAddress("port")
    authority = (f"[{host}]" if isinstance(host, IPv6Address) else str(host)) + (f":{port}" if port != default else "")
    rest = parts["rest"] if parts["rest"].startswith("/") else f"/{parts['rest']}"
    checked = f"{scheme}://{authority}{rest}"
    if len(checked) > URL_MAX_CHARS:
        raise UnsafeAddress("too_long")
    return checked


def _host(text: str) -> str | IPv4Address | IPv6Address:
    """An address, or a domain name in ASCII without the root's dot."""
    if text in ("", "[]"):
        raise UnsafeAddress("no_host")
    if text.startswith("["):
        return _literal(text[1:-1], IPv6Address)
    try:
        # IDNA maps full-width digits and dots to those of an address, and more.
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True, std3_rules=True).decode()
    except idna.IDNAError:
        raise UnsafeAddress("malformed") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    # WHATWG URL §3.5: such a host is an IPv4 address, or nothing. C libraries read them so too (inet_aton).
    if _NUMBER.fullmatch(labels[-1]):
        return _literal(text, IPv4Address)
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise UnsafeAddress("malformed")
    if len(name) > HOST_MAX_CHARS:
        raise UnsafeAddress("too_long")
    return name


def _literal(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> IPv4Address | IPv6Address:
    if "%" in text:
        raise UnsafeAddress("not_canonical")  # a zone means something on one machine alone (RFC 6874)
    try:
        return kind(text)
    except ValueError:
        raise UnsafeAddress("not_canonical") from None


def _check_host(host: str | IPv4Address | IPv6Address, allowed: Sequence[Network]) -> None:
    if not isinstance(host, str):
        if forbidden(str(host), allowed=allowed):
            raise UnsafeAddress("literal_forbidden")
        return
    name, _, top = host.rpartition(".")
    if top in _LOCAL_NAMES:
        raise UnsafeAddress("local_name")
    if not name:
        raise UnsafeAddress("single_label")


def _is_loopback(ip: IPv4Address | IPv6Address) -> bool:
    return any(ip in network for network in _LOOPBACK)
