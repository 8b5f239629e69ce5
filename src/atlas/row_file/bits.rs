//! Rice codes, from the lowest bit of each byte on.

/// Ones after which the number follows as it is.
const ESCAPE: u32 = 31;
/// The largest parameter: a code and its rest then fit in the bits at hand.
const MOST_K: u8 = 24;

/// The parameter with which these numbers take the fewest bits.
pub(super) fn best_k(numbers: &[u32]) -> u8 {
    let bits = |k: u8| -> u64 {
        let one = |&number: &u32| match number >> k {
            quotient if quotient < ESCAPE => u64::from(quotient) + 1 + u64::from(k),
            _ => u64::from(ESCAPE) + 32,
        };
        numbers.iter().map(one).sum()
    };
    // Fewest near the logarithm of the mean, so only its neighbours are tried.
    let mean = numbers.iter().map(|&number| u64::from(number)).sum::<u64>() / (numbers.len() as u64).max(1);
    let near = (64 - mean.leading_zeros()).min(u32::from(MOST_K)) as u8;
    (near.saturating_sub(2)..=(near + 1).min(MOST_K)).min_by_key(|&k| bits(k)).unwrap_or(0)
}

/// Writes numbers after what is there.
pub(super) fn write(numbers: &[u32], k: u8, out: &mut Vec<u8>) {
    let (mut bits, mut n_bits) = (0u64, 0u32);
    let mut put = |value: u64, n: u32| {
        bits |= value << n_bits;
        n_bits += n;
        while n_bits >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            n_bits -= 8;
        }
    };
    for &number in numbers {
        let quotient = number >> k;
        if quotient < ESCAPE {
            put((1 << quotient) - 1, quotient + 1);
            put(u64::from(number) & ((1 << k) - 1), u32::from(k));
        } else {
            put((1 << ESCAPE) - 1, ESCAPE);
            put(u64::from(number), 32);
        }
    }
    if n_bits > 0 {
        out.push(bits as u8);
    }
}

/// Reads numbers.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    bits: u64,
    n_bits: u32,
    k: u32,
}

impl<'a> Reader<'a> {
    /// A reader of numbers written with this parameter; nothing for one that is too large.
    pub(super) fn new(bytes: &'a [u8], k: u8) -> Option<Self> {
        (k <= MOST_K).then_some(Self { bytes, at: 0, bits: 0, n_bits: 0, k: u32::from(k) })
    }

    /// Fills up to at least 56 bits; past the end there are zeros.
    #[inline]
    fn fill(&mut self) {
        if let Some(word) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            self.bits |= u64::from_le_bytes(*word) << self.n_bits;
            let taken = (63 - self.n_bits) / 8;
            self.at += taken as usize;
            self.n_bits += taken * 8;
            return;
        }
        while self.n_bits < 56 {
            let byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.bits |= u64::from(byte) << self.n_bits;
            self.at += 1;
            self.n_bits += 8;
        }
    }

    /// Drops bits that were used.
    #[inline]
    fn skip(&mut self, n: u32) {
        self.bits >>= n;
        self.n_bits -= n;
    }

    /// The next number. Past the end it is any number; see [`Reader::is_at_end`].
    #[inline]
    pub(super) fn next(&mut self) -> u32 {
        self.fill();
        let quotient = self.bits.trailing_ones();
        if quotient < ESCAPE {
            let number = (quotient << self.k) | ((self.bits >> (quotient + 1)) as u32 & ((1 << self.k) - 1));
            self.skip(quotient + 1 + self.k);
            return number;
        }
        self.skip(ESCAPE);
        self.fill();
        let number = self.bits as u32;
        self.skip(32);
        number
    }

    /// Whether the numbers read so far end in the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        let used = (self.at as u64 * 8).saturating_sub(u64::from(self.n_bits));
        used.div_ceil(8) == self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(prop_oneof![0u32..4, 0u32..300, any::<u32>()], 0..400), k in 0u8..=MOST_K) {
            for k in [k, best_k(&numbers)] {
                let mut bytes = Vec::new();
                write(&numbers, k, &mut bytes);
                let mut reader = Reader::new(&bytes, k).unwrap();
                let back: Vec<u32> = numbers.iter().map(|_| reader.next()).collect();
                prop_assert_eq!(&back, &numbers);
                prop_assert!(reader.is_at_end());
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..50), k in 0u8..=MOST_K) {
            let mut reader = Reader::new(&bytes, k).unwrap();
            for _ in 0..1000 {
                reader.next();
            }
            prop_assert!(!reader.is_at_end());
        }
    }

    #[test]
    fn the_bits_are_where_the_format_says() {
        // 5 with k = 1: two ones, a zero, then the lowest bit 1; then 0: a zero and a 0.
        let mut bytes = Vec::new();
        write(&[5, 0], 1, &mut bytes);
        assert_eq!(bytes, [0b0000_1011]);
        assert!(Reader::new(&bytes, MOST_K + 1).is_none());
    }
}
