"""The mutations, by what they are about. Where the source no longer holds a text, its mutation is to be written anew."""

from tests.ledger.mutations import (
    closing,
    header,
    interface,
    keepalive,
    opening,
    receiving,
    retransmission,
    sending,
    urgent,
    windows,
)

MUTATIONS = (
    *header.MUTATIONS,
    *opening.MUTATIONS,
    *closing.MUTATIONS,
    *retransmission.MUTATIONS,
    *keepalive.MUTATIONS,
    *windows.MUTATIONS,
    *sending.MUTATIONS,
    *receiving.MUTATIONS,
    *urgent.MUTATIONS,
    *interface.MUTATIONS,
)
