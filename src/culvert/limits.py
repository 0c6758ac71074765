"""Bounds on everything that a peer can fill, each with its reason."""

from __future__ import annotations

MAX_HALF_OPEN = 1_024
"""Responder IKE SAs that are not authenticated yet; each holds some 4 KiB and a key exchange."""
MAX_HALF_OPEN_PER_SOURCE = 16
"""The same for one address, of IPv6 one /64: a hundred offices do not share a NAT and start in the same half minute."""
COOKIE_THRESHOLD = 32
"""Half-open IKE SAs from which on a first message must bring a cookie (RFC 7296 section 2.6)."""
COOKIE_THRESHOLD_PER_SOURCE = 4
"""The same for one address: a gateway needs one, two when both begin at once."""
MAX_CHILDREN = 256
"""Child SAs of one IKE SA and its successors, those about to be replaced included."""
MAX_SELECTORS_HELD = 9_000
"""Pairs of prefixes that the child SAs of one IKE SA carry: all that a configuration may have, and successors."""
MAX_CARRIERS = 64
"""Child SAs that carry one configured child, where the peer makes one for each pair of networks or of hosts."""
MAX_PROBES = 4
"""Parts of a child that are asked for in a row where the peer refuses all of them, and has none of the child yet."""
MAX_REFUSED_IN_A_ROW = 16
"""The same where it has some part already, so that others may follow."""
MAX_LEAVING = 256
"""Inbound associations of children that just went; their peers may make and end as many as they like."""
MAX_TRAFFIC_SELECTORS = 64
"""Traffic selectors that narrowing yields for one side of a child; more no data plane would hold well."""
MAX_SELECTORS_READ = MAX_TRAFFIC_SELECTORS + 1
"""The same of what a peer writes: those of the packet that asked stand in front."""
MAX_PROPOSALS_JUDGED = 32
"""Proposals of one SA payload that are looked at; real peers send at most a dozen."""
MAX_QUEUED_TASKS = 512
"""Exchanges of one IKE SA that wait for their turn; twice the children."""
MAX_SET_UP_RESTARTS = 4
"""Times that IKE_SA_INIT is sent again because of a cookie or another group, so that nobody leads us in circles."""
MAX_IKE_SAS_PER_PEER = 8
"""IKE SAs of one authenticated peer at once; one is usual, two while both ends begin at once or rekey."""
MAX_ANSWERS_ASTRAY = 8
"""Times that an answer is repeated to another address than the peer's; a NAT moves a peer once in an exchange."""
UNPROTECTED_STRANGERS_BURST = 100
"""Answers without protection that go to strangers at once; none is hardly longer than what it answers."""
UNPROTECTED_STRANGERS_PER_S = 50
"""And then each second: roaming peers find out quickly that we restarted, and nobody is flooded by us."""
UNPROTECTED_KNOWN_BURST = 8
"""The same to one address at which a configured peer is: the requests that it repeats in some seconds."""
UNPROTECTED_KNOWN_PER_S = 4
"""And then each second."""
MAX_KNOWN_RATES = 16_384
"""Such addresses that are counted; more peers than a gateway has."""
LOG_BURST = 20
"""Lines about unauthenticated messages that are written at once."""
LOG_INTERVAL_S = 5
"""Seconds after which one more such line is written."""
MAX_IKE_MESSAGE_OCTETS = 16_384
"""Longest IKE message that is read; certificates come to a few thousand octets."""
MAX_PRESENTED_CERTIFICATES = 16
"""Certificates that a peer sends beside its own; chains have two or three, cross-signed ones some more."""
MAX_CERTIFICATE_PATH = 8
"""Certificates from a gateway's to the anchor, both included; five are a lot in practice."""
MAX_PATH_STEPS = 32
"""Issuers that are tried in the search for a way to an anchor. Each may cost the check of a signature, half a
millisecond with the worst keys that are taken, and who presents them has proven nothing yet.
"""
TRACE_BURST = 400
"""Messages from anybody that debugging tells of at once: some hundred set-ups."""
TRACES_PER_S = 100
"""The same for each second from then on."""
MAX_LOG_LINE_CHARACTERS = 2_000
"""Longest line of the log: a refusal with both sides' proposals has some five hundred."""
MAX_PROMPT_REQUESTS = 2_000
"""Unanswered requests that are repeated as quickly as one alone; some 600 short datagrams a second. More are slower."""
MAX_FRAGMENTS = 64
"""Fragments of one IKE message; a chain of certificates in the smallest datagrams of IPv4 makes some thirty."""
MAX_FRAGMENTED_OCTETS = 32_768
"""Longest IKE message that is put together from fragments; eight certificates of 3 KiB and what is around them."""
REASSEMBLY_S = 60
"""Seconds for which an incomplete message is kept; peers repeat theirs after at most some forty."""
MAX_CANDIDATES = 4
"""Peers with the same identity, or wildcards of it, among which a caller's proof finds its own."""
HINT_INTERVAL_NS = 2_000_000
"""Nanoseconds between two peers that are asked whether they are there because something hints that they are not."""
HINT_PATIENCE_NS = 4_000_000_000
"""How long such a peer waits for its turn; more than 2,000 at once are left to the hints that follow, and to DPD."""
MAX_AUTHORITIES_ASKED = 64
"""Authorities that we name in a CERTREQ payload, 20 octets each."""
MAX_AUTHORITIES_ASKED_EARLY = 1
"""The same in an answer to a first message that has no room: its source may be forged, and is sent hardly more."""
MAX_SIGNATURE_HASHES = 16
"""Hashes of a peer's SIGNATURE_HASH_ALGORITHMS that are remembered; five have a number."""
MAX_CHECKPOINT_OCTETS = 256 * 1024
"""Longest checkpoint of an IKE SA; one with 128 children, and messages as long as may be, has half of that."""
MAX_LINGERING = 8
"""Closed IKE SAs beside a living successor that still answer what is repeated; one is usual, for half a minute."""
SEARCH_INTERVAL_NS = 200_000_000
"""Nanoseconds between two names that are asked for because somebody called from an address that no peer has."""
SEARCH_PATIENCE_NS = 4_000_000_000
"""Such questions that are begun at once, times SEARCH_INTERVAL_NS: twenty."""
