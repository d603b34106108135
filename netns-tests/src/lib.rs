//! Twill on a real kernel, with a real etcd, in network namespaces.
