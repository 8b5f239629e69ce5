//! Random numbers: numpy's legacy generator where window contents must agree with the reference,
//! and a counter-based one for draws that must not depend on the order they are made in.

mod counter;
mod mersenne;

pub use counter::CounterRng;
pub use mersenne::Mersenne;
