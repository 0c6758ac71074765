"""The exact line that lets the traffic through, in the language of the firewall that stops it."""

from __future__ import annotations

from culvert.network.foreign.chains import ForeignChain
from culvert.network.foreign.questions import Question, Traffic
from culvert.plan.desired import TUN

_BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
UFW, FIREWALLD, DOCKER = "ufw", "firewalld", "Docker"


def owner_of(chain: ForeignChain, siblings: frozenset[str]) -> str:
    """Tell which program made a chain, by the names around it; empty for one made by hand."""
    if chain.table == "firewalld":
        return FIREWALLD
    if any(name.startswith(("ufw-", "ufw6-")) for name in siblings):
        return UFW
    if "DOCKER-USER" in siblings and chain.name == "FORWARD":
        return DOCKER
    return ""


def remedy(question: Question, chain: ForeignChain, owner: str) -> str:
    """Give the command that lets the question's packet through `chain`."""
    if question.translation and question.traffic is Traffic.BETWEEN:
        return _keep_address(question, chain)
    usual = question.hook in {"input", "output", "forward"}
    if owner == UFW and usual:
        return _ufw(question)
    if owner == FIREWALLD and usual:
        return _firewalld(question)
    name = "DOCKER-USER" if owner == DOCKER else chain.name
    return _plain(question, chain, name)


def _keep_address(question: Question, chain: ForeignChain) -> str:
    if chain.tool != "nft" or _made_by_iptables(chain):
        command = chain.tool if chain.tool != "nft" else _iptables(chain)
        return f"{command} -t {chain.table} -I {chain.name} -s {question.here} -d {question.there} -o {TUN} -j ACCEPT"
    return _insert(chain, chain.name, f'oifname "{TUN}" {_addresses(question)} accept')


def _ufw(question: Question) -> str:
    if question.traffic is Traffic.BETWEEN:
        if question.inbound:
            return f"ufw route allow in on {TUN} from {question.there} to {question.here}"
        return f"ufw route allow out on {TUN} from {question.here} to {question.there}"
    peer = str(question.there or "any")
    direction = "allow" if question.inbound else "allow out"
    place = f"from {peer} to any" if question.inbound else f"to {peer}"
    if question.traffic is Traffic.ESP:
        return f"ufw {direction} proto esp {place}"
    return f"ufw {direction} proto udp {place} port 500,4500"


def _firewalld(question: Question) -> str:
    if question.traffic is not Traffic.BETWEEN:
        return "firewall-cmd --permanent --add-service=ipsec && firewall-cmd --reload"
    family = f"ipv{question.packet.version}"
    rules = " ".join(
        f"--add-rich-rule='rule family={family} source address={source} destination address={destination} accept'"
        for source, destination in ((question.here, question.there), (question.there, question.here))
    )
    return (
        f"firewall-cmd --permanent --zone=internal --add-interface={TUN} && "
        "firewall-cmd --permanent --new-policy=culvert && "
        "firewall-cmd --permanent --policy=culvert --add-ingress-zone=ANY --add-egress-zone=ANY && "
        f"firewall-cmd --permanent --policy=culvert {rules} && firewall-cmd --reload"
    )


def _plain(question: Question, chain: ForeignChain, name: str) -> str:
    if chain.tool != "nft" or _made_by_iptables(chain):
        command = chain.tool if chain.tool != "nft" else _iptables(chain)
        table = "" if chain.table == "filter" else f" -t {chain.table}"
        return f"{command}{table} -I {name} {_iptables_match(question)} -j ACCEPT"
    return _insert(chain, name, f"{_nft_match(question)} accept")


def _iptables_match(question: Question) -> str:
    if question.traffic is Traffic.BETWEEN:
        if question.hook == "prerouting" and not question.inbound:
            return f"-s {question.here} -d {question.there}"
        if question.hook == "postrouting" and question.inbound:
            return f"-s {question.there} -d {question.here}"
        if question.inbound:
            return f"-i {TUN} -s {question.there} -d {question.here}"
        return f"-o {TUN} -s {question.here} -d {question.there}"
    peer = f" {'-s' if question.inbound else '-d'} {question.there}" if question.there else ""
    if question.traffic is Traffic.ESP:
        return f"-p esp{peer}"
    return f"-p udp{peer} -m multiport --{'dports' if question.inbound else 'sports'} 500,4500"


def _nft_match(question: Question) -> str:
    if question.traffic is Traffic.BETWEEN:
        # Where it arrives nobody knows yet where it leaves, and the other way round.
        if question.hook == ("postrouting" if question.inbound else "prerouting"):
            return _addresses(question)
        return f'{"iifname" if question.inbound else "oifname"} "{TUN}" {_addresses(question)}'
    word = _word(question)
    peer = f"{word} {'saddr' if question.inbound else 'daddr'} {question.there} " if question.there else ""
    if question.traffic is Traffic.ESP:
        return f"{peer}meta l4proto esp"
    return f"{peer}udp {'dport' if question.inbound else 'sport'} {{ 500, 4500 }}"


def _addresses(question: Question) -> str:
    source, destination = question.packet.source, question.packet.destination
    return f"{_word(question)} saddr {source} {_word(question)} daddr {destination}"


def _word(question: Question) -> str:
    return "ip" if question.packet.version == 4 else "ip6"


def _insert(chain: ForeignChain, name: str, text: str) -> str:
    return f"nft insert rule {chain.family} {chain.table} {name} '{text}'"


def _made_by_iptables(chain: ForeignChain) -> bool:
    return chain.family in {"ip", "ip6"} and chain.name in _BUILT_IN


def _iptables(chain: ForeignChain) -> str:
    return "iptables" if chain.family == "ip" else "ip6tables"
