//! An ordered map for hundreds of thousands of small things.
//!
//! ```text
//! lowest    10.0.0.0/24      10.1.0.0/24      10.2.0.0/24        one for each leaf
//!               |                |                |
//! leaves    keys  values     keys  values     keys  values      in order, up to 64 of each, of many leaves 256
//! ```
//!
//! A node of `std`'s B-tree that grew in order is half empty, and pads each key to the alignment of its values. Here a leaf that
//! is full and grows at its end stays full, and keys and values lie apart.

#![forbid(unsafe_code)]

mod leaf;
mod map;

pub use map::{DenseMap, Place};
