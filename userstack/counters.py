"""Counts of what happened, under the names that Linux's ``nstat`` prints (RFC 4022, RFC 4293 and the kernel's TcpExt group).

Law: what is counted stands in ``MEANINGS``, and what stands there is counted somewhere; a test holds both.
"""

from collections.abc import Iterable


class Counters:
    """A bag of named counters; a name that was never counted reads as 0."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Raise counter ``name`` by ``amount``."""
        self._values[name] = self._values.get(name, 0) + amount

    def __getitem__(self, name: str) -> int:
        return self._values.get(name, 0)

    def snapshot(self) -> dict[str, int]:
        """Every counter that is not 0, sorted by name."""
        return {name: value for name, value in sorted(self._values.items()) if value}


MEANINGS: dict[str, str] = {
    # --- IP (RFC 4293), of IPv4 ---
    "IpInReceives": "packets that came",
    "IpInHdrErrors": "dropped: a header that is none",
    "IpInAddrErrors": "dropped: to or from an address that cannot be",
    "IpInUnknownProtos": "dropped: a protocol that is not here",
    "IpInDiscards": "dropped: a family that we have no address of",
    "IpInDelivers": "handed up",
    "IpOutRequests": "packets sent",
    "IpOutDiscards": "not sent: the queue was full, or the neighbour unknown",
    "IpOutNoRoutes": "not sent: no way there",
    "IpReasmFails": "dropped: fragments",
    # --- ICMP ---
    "IcmpInMsgs": "messages that came, and by type:",
    "IcmpInErrors": "dropped: broken",
    "IcmpInCsumErrors": "of these, for their checksum",
    "IcmpInDestUnreachs": "destination unreachable",
    "IcmpInTimeExcds": "time exceeded",
    "IcmpInParmProbs": "parameter problem",
    "IcmpInSrcQuenchs": "source quench (RFC 6633: ignored)",
    "IcmpInRedirects": "redirect (ignored: there is one way only)",
    "IcmpInEchos": "echo request",
    "IcmpInEchoReps": "echo reply",
    "IcmpInTimestamps": "timestamp request",
    "IcmpInTimestampReps": "timestamp reply",
    "IcmpInAddrMasks": "address mask request",
    "IcmpInAddrMaskReps": "address mask reply",
    "IcmpOutMsgs": "messages sent",
    "IcmpOutEchoReps": "echo replies sent",
    # --- TCP (RFC 4022) ---
    "TcpActiveOpens": "CLOSED or LISTEN to SYN-SENT",
    "TcpPassiveOpens": "connections that a listener took in",
    "TcpAttemptFails": "SYN-SENT or SYN-RECEIVED to CLOSED or LISTEN",
    "TcpEstabResets": "ESTABLISHED or CLOSE-WAIT to CLOSED",
    "TcpCurrEstab": "connections in ESTABLISHED or CLOSE-WAIT now",
    "TcpInSegs": "segments that came, broken ones too",
    "TcpOutSegs": "segments sent, but those sent again",
    "TcpRetransSegs": "segments sent again",
    "TcpInErrs": "dropped: broken; and SYNs within an established connection",
    "TcpOutRsts": "segments with RST sent",
    "TcpInCsumErrors": "dropped for their checksum",
    # --- IPv6 ---
    "Ip6InReceives": "packets that came",
    "Ip6InHdrErrors": "dropped: a header that is none",
    "Ip6InAddrErrors": "dropped: to or from an address that cannot be",
    "Ip6InUnknownProtos": "dropped: a next header that is not here (RFC 4443 3.4 answers it)",
    "Ip6InTruncatedPkts": "dropped: shorter than the header says",
    "Ip6InDiscards": "dropped: a family that we have no address of, or unicast within a multicast frame",
    "Ip6InDelivers": "handed up",
    "Ip6InExtHdrLimit": "dropped: more extension headers than are looked at (our own name)",
    "Ip6OutRequests": "packets sent",
    "Ip6OutDiscards": "not sent: the queue was full, or the neighbour unknown",
    "Ip6OutNoRoutes": "not sent: no way there",
    "Ip6ReasmFails": "dropped: fragments",
    "Ip6InMcastPkts": "packets that came to a group",
    "Ip6InOctets": "octets that came",
    "Ip6OutOctets": "octets sent",
    "Ip6InNoECTPkts": "packets that came, by their ECN field (RFC 3168 5): 00",
    "Ip6InECT1Pkts": "01",
    "Ip6InECT0Pkts": "10",
    "Ip6InCEPkts": "11",
    # --- ICMPv6 (RFC 4443, 4861, 2710, 3810) ---
    "Icmp6InMsgs": "messages that came, and by type:",
    "Icmp6InErrors": "dropped: broken",
    "Icmp6InCsumErrors": "of these, for their checksum",
    "Icmp6InDestUnreachs": "destination unreachable",
    "Icmp6InPktTooBigs": "packet too big",
    "Icmp6InTimeExcds": "time exceeded",
    "Icmp6InParmProblems": "parameter problem",
    "Icmp6InEchos": "echo request",
    "Icmp6InEchoReplies": "echo reply",
    "Icmp6InGroupMembQueries": "listener query",
    "Icmp6InGroupMembResponses": "listener report",
    "Icmp6InRouterSolicits": "router solicitation",
    "Icmp6InRouterAdvertisements": "router advertisement",
    "Icmp6InNeighborSolicits": "neighbor solicitation",
    "Icmp6InNeighborAdvertisements": "neighbor advertisement",
    "Icmp6InRedirects": "redirect",
    "Icmp6InMLDv2Reports": "listener report, version 2",
    "Icmp6OutMsgs": "messages sent, and by type:",
    "Icmp6OutRateLimitHost": "errors not sent: too many of them (RFC 4443 2.4 (f))",
    "Icmp6OutParmProblems": "parameter problem",
    "Icmp6OutEchoReplies": "echo reply",
    "Icmp6OutGroupMembResponses": "listener report",
    "Icmp6OutNeighborSolicits": "neighbor solicitation",
    "Icmp6OutNeighborAdvertisements": "neighbor advertisement",
    "Icmp6OutMLDv2Reports": "listener report, version 2",
    # --- TcpExt: connections that begin and end ---
    "TcpExtEmbryonicRsts": "SYN-RECEIVED ended by a RST, or a SYN in the window",
    "TcpExtOutOfWindowIcmps": "ICMP errors not believed: they quote what is not outstanding (RFC 5927 4)",
    "TcpExtTW": "connections that went through TIME-WAIT",
    "TcpExtTWRecycled": "TIME-WAIT records whose place an active open took",
    "TcpExtTCPTimeWaitOverflow": "TIME-WAIT cut short: time_wait_max was reached",
    "TcpExtTCPRfc1337Drop": "RSTs ignored in TIME-WAIT (RFC 1337; our own name)",
    "TcpExtListenOverflows": "SYNs, and last ACKs of a handshake, that found a full accept queue",
    "TcpExtListenDrops": "the same, and SYNs dropped for any other limit",
    "TcpExtTCPReqQFullDrop": "half-open connections given up: the SYN queue was full",
    "TcpExtTCPDeferAcceptDrop": "bare ACKs put off (TCP_DEFER_ACCEPT)",
    "TcpExtTCPAbortOnData": "reset: closed with SO_LINGER 0, or text came that nobody will read",
    "TcpExtTCPAbortOnClose": "reset: closed with text unread (RFC 2525 2.17)",
    "TcpExtTCPAbortOnTimeout": "given up: R2, the user timeout, or keep-alives without an answer",
    "TcpExtTCPRstQDrop": "resets not sent: too many were owed (our own name)",
    # --- TcpExt: what is not accepted ---
    "TcpExtPAWSEstab": "segments dropped for an old timestamp (RFC 7323 5)",
    "TcpExtPAWSTimewait": "the same, in TIME-WAIT",
    "TcpExtTCPMissingTimestamp": "segments dropped for want of the timestamp that was agreed (our own name)",
    "TcpExtTCPBadOptions": "segments with an option of illegal length (MUST-7; our own name)",
    "TcpExtTCPChallengeACK": "challenge ACKs (RFC 5961)",
    "TcpExtTCPSYNChallenge": "SYNs that were answered by one, or would have been",
    "TcpExtTCPACKSkippedChallenge": "challenge ACKs not sent: too many (RFC 5961 7)",
    "TcpExtTCPACKSkippedSeq": "ACKs of bare segments outside the window not sent: too many",
    "TcpExtTCPACKSkippedPAWS": "the same, for those with an old timestamp",
    "TcpExtTCPACKSkippedTimeWait": "the same, in TIME-WAIT",
    "TcpExtBeyondWindow": "segments that begin beyond the window",
    "TcpExtTCPZeroWindowDrop": "segments whose text came into a window that is shut",
    # --- TcpExt: acknowledging ---
    "TcpExtDelayedACKs": "ACKs that the timer sent",
    "TcpExtDelayedACKLost": "segments that came again whole: our ACK was late, or lost",
    "TcpExtTCPPureAcks": "segments without text whose ACK was taken (the kernel counts the predicted ones apart, as TCPHPAcks)",
    "TcpExtTCPDSACKOldSent": "duplicates of what was acknowledged, reported (RFC 2883)",
    "TcpExtTCPDSACKOfoSent": "duplicates of what lies beyond a hole, reported",
    "TcpExtTCPOFOQueue": "segments kept beyond a hole",
    "TcpExtTCPOFODrop": "segments beyond a hole dropped: out_of_order_ranges was reached",
    "TcpExtTCPOFOMerge": "segments beyond a hole that were there already",
    "TcpExtTCPFromZeroWindowAdv": "windows offered after one of 0",
    "TcpExtTCPToZeroWindowAdv": "windows of 0 after others",
    # --- TcpExt: sending ---
    "TcpExtTCPOrigDataSent": "segments with text or FIN sent for the first time",
    "TcpExtTCPDelivered": "segments that have arrived, by ACK or SACK",
    "TcpExtTCPDeliveredCE": "those of them whose ACK echoed a mark (RFC 3168)",
    "TcpExtTCPKeepAlive": "keep-alives sent",
    "TcpExtTCPWinProbe": "zero-window probes sent",
    "TcpExtTCPSynRetrans": "SYNs and SYN,ACKs sent again",
    # --- TcpExt: losses ---
    "TcpExtTCPTimeouts": "retransmission timeouts",
    "TcpExtTCPRenoRecovery": "fast recoveries without SACK",
    "TcpExtTCPSackRecovery": "fast recoveries with SACK",
    "TcpExtTCPRenoRecoveryFail": "of these, ended by a timeout",
    "TcpExtTCPSackRecoveryFail": "of those, ended by a timeout",
    "TcpExtTCPRenoFailures": "timeouts after duplicate ACKs, too few for a recovery",
    "TcpExtTCPSackFailures": "the same, after SACKs",
    "TcpExtTCPLossFailures": "timeouts while an earlier one was being repaired",
    "TcpExtTCPFastRetrans": "segments sent again in fast recovery",
    "TcpExtTCPSlowStartRetrans": "segments sent again after a timeout, but the one that it asks for itself",
    "TcpExtTCPLostRetransmit": "segments sent again that were lost again",
    "TcpExtTCPLossProbes": "tail loss probes (RFC 8985 7)",
    "TcpExtTCPLossProbeRecovery": "losses that one of these repaired",
    "TcpExtTCPSACKReorder": "SACKs that show reordering",
    "TcpExtTCPSACKReneging": "timeouts that found that the peer had thrown away what it SACKed (RFC 2018 8)",
    "TcpExtTCPSACKDiscard": "SACK blocks not believed",
    "TcpExtTCPDSACKRecv": "duplicates that the peer has reported (RFC 2883)",
    "TcpExtTCPDSACKOfoRecv": "the same, of what lies beyond a hole",
    "TcpExtTCPDSACKRecvSegs": "segments in them",
    "TcpExtTCPDSACKIgnoredDubious": "reports of more than was ever sent again",
    "TcpExtTCPFullUndo": "windows given back at the end of a recovery that was not needed (RFC 3522)",
    "TcpExtTCPPartialUndo": "the same within one",
    "TcpExtTCPDSACKUndo": "the same, by reports of duplicates (RFC 3708)",
    "TcpExtTCPLossUndo": "the same, after a timeout",
    "TcpExtTCPSpuriousRTOs": "timeouts that F-RTO (RFC 5682) found to have come too early",
    # --- IpExt ---
    "IpExtInTruncatedPkts": "dropped: shorter than the header says",
    "IpExtInBcastPkts": "packets within broadcast frames",
    "IpExtInOctets": "octets that came",
    "IpExtOutOctets": "octets sent",
    "IpExtInNoECTPkts": "packets that came, by their ECN field (RFC 3168 5): 00",
    "IpExtInECT1Pkts": "01",
    "IpExtInECT0Pkts": "10",
    "IpExtInCEPkts": "11",
    # --- the link, under names of our own ---
    "EthernetInErrors": "frames that are none",
    "EthernetInOtherHost": "frames for others",
    "EthernetInOwn": "frames of our own that came back",
    "EthernetInUnknownProtos": "frames of another protocol",
    "EthernetOutDiscards": "frames not sent: the queue was full",
    "ArpInErrors": "ARP packets that are none",
    "ArpInRequests": "ARP requests that came",
    "ArpInReplies": "ARP replies that came",
    "ArpConflicts": "others that claim our address (RFC 5227)",
    "ArpOutRequests": "ARP requests sent",
    "ArpOutReplies": "ARP replies sent",
    "ArpUnresolvedDiscards": "packets dropped: the neighbour was not found, or too many waited for it",
    "ArpUnreachableDiscards": "packets dropped: the neighbour does not answer",
    "ArpOutDiscards": "requests not sent: the queue was full",
    "ArpFailures": "neighbours that did not answer",
    "ArpTableFulls": "neighbours forgotten: neighbor_max was reached",
    "NdConflicts": "others that claim our IPv6 address (RFC 4862)",
    "NdDuplicates": "addresses of ours given up for that",
    "NdUnresolvedDiscards": "as for ARP",
    "NdUnreachableDiscards": "as for ARP",
    "NdOutDiscards": "as for ARP",
    "NdFailures": "as for ARP",
    "NdTableFulls": "as for ARP",
    "UserstackBugs": "errors of this stack itself that a connection was ended for",
}
"""Every counter, in the order of ``nstat``, and what it counts. Beside them messages of a type without a name: ``IcmpMsgInType42``,
``Icmp6InType42``."""


def in_order(names: Iterable[str]) -> list[str]:
    """The same names as ``MEANINGS`` has them; what it does not have, last."""
    present = set(names)
    return [name for name in MEANINGS if name in present] + sorted(present - MEANINGS.keys())
