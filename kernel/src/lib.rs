//! What the Linux kernel can hold for a pod network, and how to make it so.
