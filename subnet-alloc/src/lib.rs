//! Pools, blocks and leases: a pure allocator and its stores.
