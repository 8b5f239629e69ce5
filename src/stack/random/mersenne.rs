//! numpy's legacy `RandomState`: MT19937 and the three draws window contents are made with.

const STATE: usize = 624;
const SHIFT: usize = 397;

/// The generator behind `numpy.random.RandomState(seed)`.
///
/// M. Matsumoto and T. Nishimura, *Mersenne Twister: a 623-dimensionally equidistributed uniform
/// pseudo-random number generator*, ACM TOMACS 8(1), 1998.
#[derive(Clone, Debug)]
pub struct Mersenne {
    state: [u32; STATE],
    next: usize,
}

impl Mersenne {
    /// Seeds as `RandomState(seed)` does below 2³². numpy refuses larger seeds; here they seed as
    /// `RandomState([low, high])` does, from the two halves.
    pub fn new(seed: u64) -> Self {
        match u32::try_from(seed) {
            Ok(seed) => Self { state: seeded(seed), next: STATE },
            Err(_) => Self { state: seeded_by([seed as u32, (seed >> 32) as u32]), next: STATE },
        }
    }

    /// A whole number from 0 to `max`, both included (numpy's masked rejection). `max` below 2³².
    fn interval(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// `permutation(n)`.
    ///
    /// # Panics
    /// If `n` is above 2³².
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.interval(bound(i)) as usize;
            order.swap(i, j);
        }
        order
    }

    /// `choice(n, size)`, with replacement.
    ///
    /// # Panics
    /// If `n` is 0 or above 2³².
    pub fn choice(&mut self, n: usize, size: usize) -> Vec<usize> {
        assert!(n > 0, "nothing to choose from");
        (0..size).map(|_| self.interval(bound(n - 1)) as usize).collect()
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == STATE {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % STATE] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

fn bound(max: usize) -> u32 {
    u32::try_from(max).expect("fewer than 2^32 cells")
}

fn seeded(seed: u32) -> [u32; STATE] {
    let mut state = [seed; STATE];
    for i in 1..STATE {
        let before = state[i - 1];
        state[i] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
    }
    state
}

/// `init_by_array` of the reference code, for two words.
fn seeded_by(key: [u32; 2]) -> [u32; STATE] {
    let mut state = seeded(19_650_218);
    let mut i = 1;
    let mut advance = |state: &mut [u32; STATE], factor: u32, add: u32, subtract: u32| {
        let before = state[i - 1];
        let mixed = (before ^ (before >> 30)).wrapping_mul(factor);
        state[i] = (state[i] ^ mixed).wrapping_add(add).wrapping_sub(subtract * i as u32);
        i += 1;
        if i == STATE {
            state[0] = state[STATE - 1];
            i = 1;
        }
    };
    for k in 0..STATE {
        let j = k % 2;
        advance(&mut state, 1_664_525, key[j].wrapping_add(j as u32), 0);
    }
    for _ in 1..STATE {
        advance(&mut state, 1_566_083_941, 0, 1);
    }
    state[0] = 0x8000_0000;
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    // numpy 2: RandomState(0).permutation(7), then .choice(7, 5) of a fresh generator;
    // RandomState([5, 1]).permutation(10), the words of 2**32 + 5.
    #[test]
    fn draws_agree_with_numpy() {
        assert_eq!(Mersenne::new(0).permutation(7), [6, 2, 1, 3, 0, 5, 4]);
        assert_eq!(Mersenne::new(0).choice(7, 5), [4, 5, 0, 3, 3]);
        assert_eq!(Mersenne::new((1 << 32) + 5).permutation(10), WORDS_5_1);
    }

    const WORDS_5_1: [usize; 10] = [0, 7, 9, 4, 1, 6, 8, 2, 5, 3];

    #[test]
    fn one_choice_and_no_choice_draw_nothing() {
        let mut generator = Mersenne::new(3);
        assert_eq!(generator.choice(1, 4), [0; 4]);
        assert_eq!(generator.permutation(0), [0_usize; 0]);
        assert_eq!(generator.next, STATE, "no number was taken");
    }
}
