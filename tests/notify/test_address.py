"""No spelling of an address leads to where nothing may be sent, whatever reads it."""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.address import Network, UnsafeAddress, check_url, forbidden

PORTS = frozenset({443, 8443})

# Every network of IANA's registries of special-purpose addresses, its first and last address and some between; what
# clouds answer on; and what carries another address.
NETWORKS = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/2",
    "8000::/1", "fd00:ec2::254/128", "168.63.129.16/32", "100.100.100.200/32",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "103.10.66.1", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2001:4860:4860::8888"]


def refused(url: str, *, lab: bool = False) -> str:
    with pytest.raises(UnsafeAddress) as caught:
        check_url(url, ports=PORTS, lab=lab)
    assert (caught.value.status, caught.value.code) == (422, "unsafe_address")
    assert caught.value.detail_id
    return str(caught.value.members["reason"])


def spelled(address: IPv4Address) -> list[str]:
    """What inet_aton reads as this address."""
    a, b, c, d = address.packed
    number = int(address)
    return [
        str(address), f"{number}", f"{number:#x}", f"0{number:o}", f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{c << 8 | d}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:#X}.{b}.0{c:o}.{d}",
        f"00{a:o}.{b}.{c}.{d}",
    ]  # fmt: skip


def addresses_of(network: Network) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    numbers = st.integers(int(network.network_address), int(network.broadcast_address))
    return numbers.map(IPv4Address if network.version == 4 else IPv6Address)


denied = st.sampled_from(NETWORKS).map(ip_network).flatmap(addresses_of)
denied_ipv4 = st.sampled_from([n for n in NETWORKS if "." in n]).map(ip_network).flatmap(addresses_of)


@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_is_sent_to_special_purpose_addresses(network: str) -> None:
    of_it = ip_network(network)
    for address in (of_it.network_address, of_it.broadcast_address):
        assert forbidden(str(address)), address


@given(address=denied)
def test_no_address_of_theirs_is_sent_to(address: IPv4Address | IPv6Address) -> None:
    assert forbidden(str(address))
    assert forbidden(address.exploded)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_sent_to(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("169.254.169.254", "cloud metadata (AWS, Azure, Google)"),
        ("169.254.1.1", "link-local (RFC 3927)"),
        ("10.1.2.3", "private use (RFC 1918)"),
        ("::ffff:127.0.0.1", "IPv4-mapped (RFC 4291)"),
        ("fe80::1%eth0", "link-local (RFC 4291)"),
        ("2606:4700::5efe:8.8.8.8", "ISATAP (RFC 5214)"),
        ("2606:4700::200:5efe:8.8.8.8", "ISATAP (RFC 5214)"),
        ("4000::1", "not global unicast (RFC 4291)"),
        ("example.org", "not an IP address"),
        ("2130706433", "not an IP address"),
    ],
)
def test_the_reason_names_the_network(address: str, name: str) -> None:
    assert forbidden(address) == name


@pytest.mark.parametrize(
    "address",
    [
        "224.0.1.1", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "168.63.129.16",
        "::127.0.0.1", "64:ff9b::127.0.0.1", "2606:4700::5efe:127.0.0.1", "2620:4f:8000::1", "5f00::1", "ff0e::1",
        "4000::1",
    ],
)  # fmt: skip
def test_what_python_calls_global_is_not_always_the_internet(address: str) -> None:
    assert ipaddress.ip_address(address).is_global
    assert forbidden(address)


def test_an_administrator_opens_what_is_private() -> None:
    allowed = [ip_network("10.20.0.0/16"), ip_network("fd12:3456:789a::/48"), ip_network("100.64.7.0/24")]
    assert forbidden("10.20.1.1", allowed=allowed) is None
    assert forbidden("fd12:3456:789a::7", allowed=allowed) is None
    assert forbidden("100.64.7.9", allowed=allowed) is None
    assert forbidden("10.21.1.1", allowed=allowed) == "private use (RFC 1918)"
    assert check_url("https://10.20.1.1/", ports=PORTS, allowed=allowed) == "https://10.20.1.1/"


@given(address=denied)
def test_an_administrator_opens_nothing_else(address: IPv4Address | IPv6Address) -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
    assert forbidden(str(address), allowed=everything) or any(address in ip_network(network) for network in private)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "fd00:ec2::254",
     "100.100.100.200", "255.255.255.255", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_nobody_opens_loopback_or_metadata(address: str) -> None:
    assert forbidden(address, allowed=[ip_network("0.0.0.0/0"), ip_network("::/0")])


def test_a_lab_opens_loopback_alone() -> None:
    assert forbidden("127.0.0.1", lab=True) is None
    assert forbidden("127.3.2.1", lab=True) is None
    assert forbidden("::1", lab=True) is None
    assert forbidden("::ffff:127.0.0.1", lab=True)
    assert forbidden("169.254.169.254", lab=True)
    assert forbidden("10.0.0.1", lab=True)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://Portal.Example.go.id/hook", "https://portal.example.go.id/hook"),
        ("HTTPS://portal.example.go.id", "https://portal.example.go.id/"),
        ("https://portal.example.go.id.:443?a=b%20c", "https://portal.example.go.id/?a=b%20c"),
        ("https://portal.example.go.id:08443/%7Ea/../b", "https://portal.example.go.id:8443/%7Ea/../b"),
        ("https://portal.example.go.id:/", "https://portal.example.go.id/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://ｐｏｒｔａｌ。example/", "https://portal.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]/"),
    ],
)
def test_a_url_has_one_spelling(url: str, normal: str) -> None:
    assert check_url(url, ports=PORTS) == normal
    assert check_url(normal, ports=PORTS) == normal


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://portal.example/", "not_https"),
        ("ftp://portal.example/", "not_https"),
        ("https://a:b@portal.example/", "credentials"),
        ("https://@portal.example/", "credentials"),
        ("https://portal.example/#a", "fragment"),
        ("https://portal.example/#", "fragment"),
        ("https:///hook", "no_host"),
        ("https://:443/", "no_host"),
        ("https://portal.example:22/", "port"),
        ("https://portal.example:0/", "port"),
        ("https://portal.example:99999/", "port"),
        ("https://portal.example/" + "a" * 2048, "too_long"),
        ("https://" + "a." * 127 + "example/", "too_long"),
        ("https://localhost/", "local_name"),
        ("https://LOCALHOST./", "local_name"),
        ("https://ⓛocalhost/", "local_name"),
        ("https://a.localhost/", "local_name"),
        ("https://printer.local/", "local_name"),
        ("https://metadata.google.internal/", "local_name"),
        ("https://scoring.default.svc.cluster.local/", "local_name"),
        ("https://router.home.arpa/", "local_name"),
        ("https://scoring/", "single_label"),
        ("https://127.0.0.1/", "literal_forbidden"),
        ("https://[::1]/", "literal_forbidden"),
        ("https://[0:0:0:0:0:0:0:1]/", "literal_forbidden"),
        ("https://[::ffff:127.0.0.1]/", "literal_forbidden"),
        ("https://[::ffff:7f00:1]/", "literal_forbidden"),
        ("https://2130706433/", "not_canonical"),
        ("https://0177.0.0.1/", "not_canonical"),
        ("https://0x7f.1/", "not_canonical"),
        ("https://0x7F000001/", "not_canonical"),
        ("https://127.1/", "not_canonical"),
        ("https://127.0.0.1./", "not_canonical"),
        ("https://127.0.0.0x/", "not_canonical"),
        ("https://1.2.3.4.5/", "not_canonical"),
        ("https://256.0.0.1/", "not_canonical"),
        ("https://8.8.8.08/", "not_canonical"),
        ("https://portal.example.1/", "not_canonical"),
        ("https://１２７.0.0.1/", "not_canonical"),
        ("https://127。0。0。1/", "not_canonical"),
        ("https://①②⑦.0.0.1/", "not_canonical"),
        ("https://[::1%25eth0]/", "not_canonical"),
        ("https://[fe80::1%eth0]/", "not_canonical"),
        ("https://[127.0.0.1]/", "not_canonical"),
        ("https://%31%32%37.0.0.1/", "not_canonical"),
        ("https://local%68ost.example/", "malformed"),
        ("https://[8.8.8.8]/", "not_canonical"),
        ("https://::1/", "malformed"),
        ("https://portal.example\\@127.0.0.1/", "credentials"),
        ("https://127.0.0.1\\.portal.example/", "malformed"),
        ("https:\\\\portal.example/", "malformed"),
        ("https://portal.example /", "malformed"),
        (" https://portal.example/", "malformed"),
        ("https://portal.example/\n", "malformed"),
        ("https://por\ttal.example/", "malformed"),
        ("https://portal.example/a b", "malformed"),
        ("https://portal.example/é", "malformed"),
        ("https://portal.example/%zz", "malformed"),
        ("https://portal..example/", "malformed"),
        ("https://-portal.example/", "malformed"),
        ("https://por_tal.example/", "malformed"),
        ("https://portal\u00ad\u200b。\u0000example/", "malformed"),
        ("https:portal.example", "malformed"),
        ("//portal.example/", "malformed"),
        ("", "malformed"),
    ],
)
def test_an_unsafe_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    assert refused(url) == reason


def test_a_lab_takes_loopback_on_any_port_without_tls() -> None:
    assert check_url("http://127.0.0.1:5000/a", ports=PORTS, lab=True) == "http://127.0.0.1:5000/a"
    assert check_url("http://LOCALHOST:80", ports=PORTS, lab=True) == "http://localhost/"
    assert check_url("https://[::1]:5000/", ports=PORTS, lab=True) == "https://[::1]:5000/"
    assert refused("http://portal.example/", lab=True) == "not_https"
    assert refused("https://portal.example:5000/", lab=True) == "port"
    assert refused("https://10.0.0.1/", lab=True) == "literal_forbidden"
    assert refused("http://127.1/", lab=True) == "not_canonical"
    assert refused("http://127.0.0.1:99999/", lab=True) == "port"


@given(address=denied_ipv4, data=st.data(), dot=st.sampled_from(["", "."]))
def test_no_spelling_of_a_denied_address_passes(address: IPv4Address, data: st.DataObject, dot: str) -> None:
    spelling = data.draw(st.sampled_from(spelled(address)))
    assert socket.inet_aton(spelling) == address.packed
    assert refused(f"https://{spelling}{dot}/") in ("literal_forbidden", "not_canonical")


@given(host=st.text("0123456789abcdefxX.[]:%-@\\/ １。．①ａⅩ", min_size=1, max_size=24))
def test_whatever_passes_is_no_address_but_a_public_one(host: str) -> None:
    try:
        checked = check_url(f"https://{host}/", ports=PORTS)
    except UnsafeAddress:
        return
    literal = checked.removeprefix("https://").split("/")[0].strip("[]")
    try:
        read = str(IPv4Address(socket.inet_aton(literal)))
    except OSError:
        return
    assert literal == read
    assert forbidden(read) is None


@given(
    url=st.builds(
        "https://{}.{}{}{}".format,
        st.text(min_size=1, max_size=12),
        st.sampled_from(["example", "Example.ORG.", "8", "bücher", "ＡＢ"]),
        st.sampled_from(["", ":443", ":8443", ":"]),
        st.one_of(st.just(""), st.text("/?%2Fab.~+ é", max_size=12)),
    )
)
def test_normalising_twice_changes_nothing(url: str) -> None:
    try:
        checked = check_url(url, ports=PORTS)
    except UnsafeAddress:
        return
    assert checked.isascii()
    assert check_url(checked, ports=PORTS) == checked
