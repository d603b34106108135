//! VTEPs, MTU, and how a remote VTEP becomes kernel entries.
