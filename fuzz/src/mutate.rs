//! Wrong inputs out of right ones, the same on every run.

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80",
    b"-1",
    b"0",
    b"16777216",
    b"18446744073709551616",
    b"[[[[[[[[",
    b"{}",
    b"null",
    b"\"",
    b"\\u0000",
    b"\xe2\x80\xae",
    b"255.255.255.255",
];

/// A sequence of mutations.
pub struct Mutator(u64);

impl Mutator {
    /// The same seed makes the same sequence.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed)
    }

    /// One of these inputs with up to eight changes.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = self.any(corpus).to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut data, corpus);
        }
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let end = at + self.below(data.len() - at + 1).min(64);
        match self.below(7) {
            0 if at < data.len() => data[at] ^= 1 << self.below(8),
            1 if at < data.len() => data[at] = self.number() as u8,
            2 => drop(data.drain(at..end)),
            3 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            4 => drop(data.splice(at..end, PIECES[self.below(PIECES.len())].iter().copied())),
            5 => {
                let other = self.any(corpus);
                let from = self.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ => data.truncate(at),
        }
        data.truncate(1 << 16);
    }

    fn any<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a [u8] {
        corpus
            .get(self.below(corpus.len().max(1)))
            .map_or(&[], Vec::as_slice)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
