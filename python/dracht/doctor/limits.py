"""What the system grants: open files, receive buffers. And what its firewall does with SIP."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from dracht.doctor.finding import Finding
from dracht.doctor.situation import Situation

__all__ = ["buffers", "connection_tracking", "open_files"]

CONNECTIONS = 16_384  # per shard: crates/net/src/config.rs
CONTROL_CONNECTIONS = 1_024
SPARE = 64  # sockets of the listeners, wake-ups, logs
RECEIVE_BUFFER = 4 << 20


def open_files(situation: Situation) -> Iterator[Finding]:
    """A limit on open files that is lower than the connections that may be there."""
    shards = int(situation.options.get("shards") or 1)
    streams = sum(1 for one in situation.listeners if one.transport != "udp")
    wanted = SPARE + CONTROL_CONNECTIONS + (shards * CONNECTIONS if streams else 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        few = soft < SPARE + CONTROL_CONNECTIONS
        yield Finding(
            "warning" if few or streams else "note",
            "file-limit",
            f"This process may have {soft:,} open files, and {wanted:,} are wanted when every connection that the server "
            "allows is there "
            f"({shards} × {CONNECTIONS:,} telephones, {CONTROL_CONNECTIONS:,} applications): past the limit new connections "
            "fail.",
            "Raise it: LimitNOFILE= in the systemd unit, or ulimit -n before the start"
            + (f" (up to {hard:,} here)." if hard != resource.RLIM_INFINITY else "."),
        )


def buffers(situation: Situation) -> Iterator[Finding]:
    """A kernel that grants less room for datagrams than the server asks for."""
    most = situation.machine.setting("net.core.rmem_max")
    if (
        most is not None
        and most < RECEIVE_BUFFER
        and any(one.transport == "udp" for one in situation.listeners)
    ):
        yield Finding(
            "warning",
            "receive-buffer",
            f"net.core.rmem_max is {most:,} bytes: what comes over UDP while the server is busy may fill {most // 1024:,} KiB "
            "instead of "
            f"{RECEIVE_BUFFER // 1024:,}, and the rest of a burst is lost.",
            f"sysctl -w net.core.rmem_max={RECEIVE_BUFFER}, and the same line in /etc/sysctl.d/ for the next start.",
        )


def connection_tracking(situation: Situation) -> Iterator[Finding]:
    """A firewall that rewrites SIP, or forgets a telephone before its next message."""
    machine = situation.machine
    modules = {line.split()[0] for line in machine.text("/proc/modules").splitlines() if line.strip()}
    if "nf_nat_sip" in modules or machine.setting("net.netfilter.nf_conntrack_helper") == 1:
        yield Finding(
            "warning",
            "sip-helper",
            "The firewall of this machine has a SIP helper (an application level gateway), which rewrites addresses within "
            "messages: it "
            "and the server correct the same thing, and calls end up with wrong addresses or no sound.",
            "Turn it off: modprobe -r nf_nat_sip nf_conntrack_sip, sysctl -w net.netfilter.nf_conntrack_helper=0.",
        )
    kept = machine.setting("net.netfilter.nf_conntrack_udp_timeout")
    tracked = machine.setting("net.netfilter.nf_conntrack_count")
    most = machine.setting("net.netfilter.nf_conntrack_max")
    if tracked is not None and most and tracked > most * 0.8:
        yield Finding(
            "warning",
            "connection-tracking-full",
            f"The firewall tracks {tracked:,} connections of at most {most:,}: when the table is full, messages of strangers "
            "to it are "
            "dropped.",
            "Raise net.netfilter.nf_conntrack_max, or leave the SIP port out of tracking (a notrack rule).",
        )
    if tracked and kept is not None and kept < 30:
        yield Finding(
            "note",
            "connection-tracking-short",
            f"The firewall forgets a silent UDP peer after {kept} s, less than the usual distance of keep-alives.",
            "Raise net.netfilter.nf_conntrack_udp_timeout to 60 or more.",
        )
