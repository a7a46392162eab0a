"""Lines of text logs, in the order and spelling their devices use.

Squid's native format; FortiGate key=value with the vendor's key order; IIS W3C with its header;
sshd and friends through rsyslog with its default ISO time. Times are microseconds since 1970 UTC.
Sources: Squid wiki "Features/LogFormat", FortiOS Log Reference, IIS logging documentation.
"""

from __future__ import annotations

from datetime import timedelta, timezone

from hikeshi.events.time import to_datetime

JST = timezone(timedelta(hours=9))
_DEVICE = 'devname="FW-KAEDE-01" devid="FGT60FTK26000001"'
_IIS_FIELDS = ("date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) "
               "cs(Referer) sc-status sc-substatus sc-win32-status time-taken")


def squid(time: int, *, client: str, host: str, address: str, method: str = "CONNECT", path: str = "/",
          status: int = 200, elapsed_ms: int = 400, received: int = 5000, user: str = "-",
          content: str = "text/html") -> str:
    """`received` is what the client got: Squid's native format does not tell what it sent."""
    stamp = f"{time // 1_000_000}.{time // 1000 % 1000:03d}"
    if method == "CONNECT":
        code, url, content = "TCP_TUNNEL" if status == 200 else "TCP_DENIED", f"{host}:443", "-"
    else:
        code, url = "TCP_MISS", f"http://{host}{path}"
    way = f"HIER_DIRECT/{address}" if status != 403 else "HIER_NONE/-"
    return f"{stamp} {elapsed_ms:6d} {client} {code}/{status:03d} {received} {method} {url} {user} {way} {content}"


def _fortigate_head(time: int) -> str:
    local = to_datetime(time).astimezone(JST)
    return (f'date={local:%Y-%m-%d} time={local:%H:%M:%S} {_DEVICE} eventtime={time * 1000} tz="+0900"')


def fortigate_traffic(time: int, *, source: str, source_port: int, source_interface: str, destination: str,
                      destination_port: int, destination_interface: str, service: str, sent: int, received: int,
                      duration: int, policy: int, session: int, user: str | None = None,
                      action: str = "close") -> str:
    """Type traffic, subtype forward. `sent` is what the source sent out."""
    who = f'user="{user}" group="SSLVPN-Users" ' if user else ""
    roles = {"wan1": "wan", "lan": "lan", "dmz": "dmz", "ssl.root": "undefined"}
    translation = 'trandisp="snat" transip=192.0.2.2 ' if destination_interface == "wan1" else 'trandisp="noop" '
    return (
        f'{_fortigate_head(time)} logid="0000000013" type="traffic" '
        f'subtype="forward" level="{"warning" if action == "deny" else "notice"}" vd="root" srcip={source} '
        f'srcport={source_port} srcintf="{source_interface}" srcintfrole="{roles[source_interface]}" '
        f'dstip={destination} dstport={destination_port} dstintf="{destination_interface}" '
        f'dstintfrole="{roles[destination_interface]}" srccountry="Reserved" dstcountry="Reserved" '
        f'sessionid={session} proto=6 action="{action}" policyid={policy} policytype="policy" {who}'
        f'service="{service}" {translation}duration={duration} sentbyte={sent} rcvdbyte={received} '
        f'sentpkt={sent // 1200 + 1} rcvdpkt={received // 1200 + 1} appcat="unscanned"')


def fortigate_vpn_failure(time: int, *, source: str, user: str, reason: str = "sslvpn_login_permission_denied") -> str:
    return (
        f'{_fortigate_head(time)} logid="0101039426" type="event" subtype="vpn" level="alert" vd="root" '
        f'logdesc="SSL VPN login fail" action="ssl-login-fail" tunneltype="ssl-web" tunnelid=0 remip={source} '
        f'user="{user}" group="N/A" dst_host="N/A" reason="{reason}" msg="SSL user failed to logged in"')


def fortigate_vpn_connection(time: int, *, source: str) -> str:
    return (
        f'{_fortigate_head(time)} logid="0101039943" type="event" subtype="vpn" level="information" vd="root" '
        f'logdesc="SSL VPN new connection" action="ssl-new-con" tunneltype="ssl" tunnelid=0 remip={source} '
        'user="N/A" group="N/A" dst_host="N/A" reason="N/A" msg="SSL new connection"')


def fortigate_vpn_tunnel(time: int, *, source: str, user: str, tunnel: str, tunnel_id: int, up: bool,
                         duration: int = 0, sent: int = 0, received: int = 0) -> str:
    """The tunnel comes up with the address it gives the client, or goes down with its statistics."""
    if up:
        return (
            f'{_fortigate_head(time)} logid="0101039947" type="event" subtype="vpn" level="information" vd="root" '
            f'logdesc="SSL VPN tunnel up" action="tunnel-up" tunneltype="ssl-tunnel" tunnelid={tunnel_id} '
            f'remip={source} tunnelip={tunnel} user="{user}" group="SSLVPN-Users" dst_host="N/A" '
            'reason="tunnel established" msg="SSL tunnel established"')
    return (
        f'{_fortigate_head(time)} logid="0101039948" type="event" subtype="vpn" level="information" vd="root" '
        f'logdesc="SSL VPN tunnel down" action="tunnel-down" tunneltype="ssl-tunnel" tunnelid={tunnel_id} '
        f'remip={source} tunnelip={tunnel} user="{user}" group="SSLVPN-Users" dst_host="N/A" '
        f'reason="User requested termination of service" duration={duration} sentbyte={sent} '
        f'rcvdbyte={received} msg="SSL tunnel shutdown"')


def iis(time: int, *, server: str, client: str, method: str, path: str, status: int, query: str = "-",
        agent: str = "Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)", referer: str = "-", user: str = "-",
        taken_ms: int = 30, port: int = 443) -> str:
    moment = to_datetime(time)
    return (f"{moment:%Y-%m-%d %H:%M:%S} {server} {method} {path} {query} {port} {user} {client} {agent} "
            f"{referer} {status} 0 {0 if status < 400 else 2} {taken_ms}")


def iis_header(name: str) -> list[str]:
    day = f"20{name[-10:-8]}-{name[-8:-6]}-{name[-6:-4]}"
    return ["#Software: Microsoft Internet Information Services 10.0", "#Version: 1.0",
            f"#Date: {day} 00:00:00", f"#Fields: {_IIS_FIELDS}"]


def syslog(time: int, host: str, program: str, message: str) -> str:
    local = to_datetime(time).astimezone(JST)
    return f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}+09:00 {host} {program}: {message}"
