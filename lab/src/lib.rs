//! Hosts in network namespaces, wires, pods and probes: a whole pod network on one machine.
