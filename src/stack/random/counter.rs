//! A counter-based generator: a number is a function of what it is for, not of when it is drawn.

use rand::TryRng;
use std::convert::Infallible;

/// Philox4x32-10 keyed by the seed, its counter made of step, cell and gene.
///
/// Whatever draws for one (seed, step, cell, gene) use is the same in any order, on any number of
/// threads, and whether or not other genes are drawn at all.
///
/// J. K. Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.
#[derive(Clone, Debug)]
pub struct CounterRng {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl CounterRng {
    /// The stream for one draw. `step` also separates uses that are not steps.
    pub fn new(seed: u64, step: u32, cell: u32, gene: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], counter: [0, gene, cell, step], block: [0; 4], used: 4 }
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            // 2^34 bytes for one draw are never reached.
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

impl TryRng for CounterRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.word());
        Ok(u64::from(self.word()) << 32 | low)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Ten rounds of Philox4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xd251_1f53;
        let b = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    // The known answers published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn every_part_of_the_key_gives_other_numbers() {
        let first = |seed, step, cell, gene| CounterRng::new(seed, step, cell, gene).word();
        let all = [first(0, 0, 0, 0), first(1 << 32, 0, 0, 0), first(0, 1, 0, 0), first(0, 0, 1, 0), first(0, 0, 0, 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{all:x?}");
        }
        let mut stream = CounterRng::new(7, 1, 2, 3);
        let words: Vec<u32> = (0..8).map(|_| stream.word()).collect();
        assert_ne!(words[..4], words[4..]);
    }
}
