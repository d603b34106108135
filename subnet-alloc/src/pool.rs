//! A pool: the pod range of one family and how it is cut into blocks.

use crate::config::ConfigError;
use crate::family::{Family, Prefix, size};
use crate::json::shown;

/// The pod range of one family, cut into blocks of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool<N> {
    /// The whole range, without host bits.
    pub network: N,
    /// The prefix length of a block.
    pub block_len: u8,
    /// The first block that is given out.
    pub min: N,
    /// The last block that is given out.
    pub max: N,
}

/// Why a block is not one that the network config gives out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The config has this family enabled and the block has no part in it.
    #[error("it has no {0} part, and {0} is enabled")]
    FamilyMissing(Family),
    /// The block has a part in a family that is not enabled.
    #[error("it has an {0} part, and {0} is not enabled")]
    FamilyExtra(Family),
    /// Blocks have another length.
    #[error("{part} is not a block of length {block_len}")]
    Length {
        /// The part of the block.
        part: String,
        /// The length that the config asks for.
        block_len: u8,
    },
    /// Not between the first and the last block.
    #[error("{part} is outside of {min} to {max}")]
    Outside {
        /// The part of the block.
        part: String,
        /// The first block that is given out.
        min: String,
        /// The last block that is given out.
        max: String,
    },
}

impl<N: Prefix> Pool<N> {
    /// Whether this is one of the blocks that are given out.
    pub fn fits(&self, part: N) -> Result<(), Misfit> {
        if part.length() != self.block_len {
            return Err(Misfit::Length {
                part: part.to_string(),
                block_len: self.block_len,
            });
        }
        if part.first() < self.min.first() || part.first() > self.max.first() {
            return Err(Misfit::Outside {
                part: part.to_string(),
                min: self.min.to_string(),
                max: self.max.to_string(),
            });
        }
        Ok(())
    }

    /// How many blocks are given out.
    pub fn blocks(&self) -> u128 {
        self.index(self.max.first()) + 1
    }

    /// The block with this number, counted from `min`.
    pub(crate) fn block(&self, index: u128) -> N {
        let first = self.min.first() + index * size::<N>(self.block_len);
        N::at(first, self.block_len)
    }

    /// The number of the block in which an address lies, counted from `min`.
    pub(crate) fn index(&self, address: u128) -> u128 {
        (address - self.min.first()) / size::<N>(self.block_len)
    }
}

/// A pool as the config spells it, before it is checked.
pub(crate) struct PoolText {
    /// The keys of network, block length, first and last block.
    pub(crate) keys: [&'static str; 4],
    pub(crate) network: Option<String>,
    pub(crate) length: Option<i64>,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
}

impl PoolText {
    /// The checked pool; `address` reads an address of the family.
    pub(crate) fn pool<N: Prefix>(
        &self,
        address: impl Fn(&str) -> Option<u128>,
        missing: ConfigError,
    ) -> Result<Pool<N>, ConfigError> {
        let text = self.network.as_deref().ok_or(missing)?;
        let network: N = prefix(text, &address).map_err(|why| wrong(self.keys[0], text, why))?;
        let block_len = self.block_len(network)?;
        let step = size::<N>(block_len);
        let end = |key, text: &Option<String>, default| match text.as_deref() {
            None | Some("") => Ok(N::at(default, block_len)),
            Some(text) => {
                on_grid(network, block_len, address(text)).map_err(|why| wrong(key, text, why))
            }
        };
        let min = end(self.keys[2], &self.min, network.first() + step)?;
        let max = end(self.keys[3], &self.max, network.last() - (step - 1))?;
        if max.first() < min.first() {
            let why = format!(
                "it is before the first block {min}; raise it or lower {}",
                self.keys[2]
            );
            return Err(wrong(
                self.keys[3],
                self.max.as_deref().unwrap_or_default(),
                why,
            ));
        }
        Ok(Pool {
            network,
            block_len,
            min,
            max,
        })
    }

    fn block_len<N: Prefix>(&self, network: N) -> Result<u8, ConfigError> {
        let (longest, usual) = (N::BITS - 2, if N::BITS == 32 { 24 } else { 64 });
        let shortest = network.length() + 2;
        match self.length {
            None | Some(0) if network.length() > N::BITS - 4 => {
                let why = format!("too small to be cut in four; use at most /{}", N::BITS - 4);
                Err(wrong(self.keys[0], &network.to_string(), why))
            }
            None | Some(0) => Ok(shortest.max(usual)),
            Some(length) => u8::try_from(length)
                .ok()
                .filter(|length| (shortest..=longest).contains(length))
                .ok_or_else(|| {
                    let why = format!("with {network} it must be {shortest} to {longest}");
                    wrong(self.keys[1], &length.to_string(), why)
                }),
        }
    }
}

fn prefix<N: Prefix>(text: &str, address: impl Fn(&str) -> Option<u128>) -> Result<N, String> {
    let expected = || format!("expected an {} network such as ADDRESS/LENGTH", N::FAMILY);
    let (first, length) = text.split_once('/').ok_or_else(expected)?;
    let first = address(first).ok_or_else(expected)?;
    let length: u8 = length.parse().map_err(|_| expected())?;
    if !(1..N::BITS).contains(&length) {
        return Err(format!("the prefix length must be 1 to {}", N::BITS - 4));
    }
    let first = first - first % size::<N>(length);
    Ok(N::at(first, length))
}

fn on_grid<N: Prefix>(network: N, block_len: u8, address: Option<u128>) -> Result<N, String> {
    let address = address.ok_or_else(|| format!("expected an {} address", N::FAMILY))?;
    if !(network.first()..=network.last()).contains(&address) {
        return Err(format!("it is outside of {network}"));
    }
    if address % size::<N>(block_len) != 0 {
        return Err(format!(
            "it is not the first address of a /{block_len} block"
        ));
    }
    Ok(N::at(address, block_len))
}

fn wrong(key: &'static str, value: &str, why: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key,
        value: shown(value, 80),
        why: why.into(),
    }
}
