"""Hosts, gateways and networks out of network namespaces, for the demo, the tests and the benchmarks."""
