//! The schedule of a generation: per step how much of a window is context and how many query
//! cells stay masked. Rounding follows the reference to the bit.

use crate::domain::inference::{Mode, Sampling};

/// The most steps of a generation.
pub const MOST_STEPS: u32 = 1000;

/// The share of a window that is context beyond the prompt.
///
/// The reference computes with it in the width it has: `f32` in `mdm`, where it comes from an
/// array, and `f64` in `vanilla`. The two can round to different numbers of cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ContextRatio {
    /// As in `mdm`.
    Single(f32),
    /// As in `vanilla`.
    Double(f64),
}

/// One step of a generation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub number: u32,
    /// Seed of the step's window contents and draws: the run's seed plus the step's number.
    pub seed: u64,
    /// Share of the query cells that stay masked after this step (`mdm`).
    pub mask_rate: f32,
    /// Context of this step.
    pub context_ratio: ContextRatio,
}

/// How the cells of a window are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Cells in a window.
    pub n_cells: usize,
    /// Cells of the prompt at the start of a window, seen by all and seeing only each other.
    pub n_prompt: usize,
    /// Cells, the prompt included, that count as context: they get no query embedding, and the
    /// context mean and the dispersions are taken over them.
    pub n_context: usize,
    /// Base cells in a window. At most one more than `n_context`: the reference rounds one up and
    /// the other down, so the last base cell may be treated as a query.
    pub n_base: usize,
    /// Query cells in a window.
    pub n_query: usize,
}

/// Why settings give no schedule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// Shares that leave no room for context or for query cells.
    #[error(
        "a prompt ratio of {prompt} and a context ratio of {context} do not fit a window: both must be at least 0 \
         and their sum above 0 and below 1"
    )]
    Ratios {
        /// The share of the prompt.
        prompt: f64,
        /// The share of further context.
        context: f64,
    },
    /// A window so short that nothing of it is context.
    #[error("a window of {n_cells} cells is too short for these ratios: none of its cells would be context")]
    NoContext {
        /// Cells in a window.
        n_cells: usize,
    },
    /// No step at all, or more than anyone waits for.
    #[error("the number of diffusion steps must be from 1 to {MOST_STEPS}, not {0}")]
    Steps(u32),
}

/// The steps of a generation, first to last.
pub fn steps(sampling: &Sampling) -> Result<Vec<Step>, ScheduleError> {
    let count = sampling.diffusion_steps;
    if !(1..=MOST_STEPS).contains(&count) {
        return Err(ScheduleError::Steps(count));
    }
    let step = |number: u32| Step {
        number,
        seed: sampling.seed.wrapping_add(u64::from(number)),
        mask_rate: mask_rate(number, count),
        context_ratio: match sampling.mode {
            Mode::Mdm => ContextRatio::Single(context_ratio(sampling, number, count)),
            Mode::Vanilla => ContextRatio::Double(sampling.context_ratio),
        },
    };
    Ok((1..=count).map(step).collect())
}

/// `1 - number/count` in `f32`, exactly 0 in the last step.
fn mask_rate(number: u32, count: u32) -> f32 {
    if number == count { 0.0 } else { 1.0 - number as f32 / count as f32 }
}

/// numpy's `linspace(min, max, count)` in `f64`, then rounded to `f32`; one step takes the maximum.
fn context_ratio(sampling: &Sampling, number: u32, count: u32) -> f32 {
    let (low, high) = (sampling.context_ratio_min, sampling.context_ratio);
    if number == count {
        return high as f32;
    }
    let step = (high - low) / f64::from(count - 1);
    (f64::from(number - 1) * step + low) as f32
}

impl Split {
    /// Divides a window of `n_cells`.
    pub fn new(n_cells: usize, prompt_ratio: f64, context: ContextRatio) -> Result<Self, ScheduleError> {
        let wide = match context {
            ContextRatio::Single(ratio) => f64::from(ratio),
            ContextRatio::Double(ratio) => ratio,
        };
        let sum = prompt_ratio + wide;
        // Written so that a NaN fails.
        if !(prompt_ratio >= 0.0 && wide >= 0.0 && sum > 0.0 && sum < 1.0) {
            return Err(ScheduleError::Ratios { prompt: prompt_ratio, context: wide });
        }
        // `as usize` truncates toward zero, as Python's int() does.
        let (query, n_context) = match context {
            ContextRatio::Single(context) => {
                let ratio = prompt_ratio as f32 + context;
                ((n_cells as f32 * (1.0 - ratio)) as usize, (ratio * n_cells as f32) as usize)
            }
            ContextRatio::Double(_) => ((n_cells as f64 * (1.0 - sum)) as usize, (sum * n_cells as f64) as usize),
        };
        if n_context == 0 {
            return Err(ScheduleError::NoContext { n_cells });
        }
        let n_query = query.max(1);
        let n_base = n_cells.saturating_sub(n_query);
        // A sum just below 1 is 1 in `f32`.
        if n_context > n_base {
            return Err(ScheduleError::Ratios { prompt: prompt_ratio, context: wide });
        }
        let n_prompt = (prompt_ratio * n_cells as f64) as usize;
        Ok(Self { n_cells, n_prompt, n_context, n_base, n_query })
    }
}

/// The logit up to which masked cells are replaced, so that about `mask_rate` of all cells stay
/// masked; `None` if no cell is masked.
///
/// numpy's linear quantile in `f32` at `u = (masked/total - mask_rate) * total/masked`. Outside
/// [0, 1], where the reference fails, `u` is clamped.
pub fn threshold(masked_logits: &[f32], n_total: usize, mask_rate: f32) -> Option<f32> {
    let n = masked_logits.len();
    if n == 0 {
        return None;
    }
    let (total, masked) = (n_total as f64, n as f64);
    let u = ((masked / total - f64::from(mask_rate)) * total / masked) as f32;
    Some(quantile(masked_logits, u.clamp(0.0, 1.0)))
}

/// numpy's `quantile(values, u)`, method linear, in `f32`. `values` is not empty.
fn quantile(values: &[f32], u: f32) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len() - 1;
    let position = last as f32 * u;
    if position >= last as f32 {
        return sorted[last];
    }
    let below = position.floor();
    let (a, b) = (sorted[below as usize], sorted[below as usize + 1]);
    let t = position - below;
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A model of 512 cells with the default ratios (reference package, mdm, 5 steps).
    #[test]
    fn the_default_schedule_of_a_real_model() {
        let steps = steps(&Sampling::default()).unwrap();
        let masks: Vec<f32> = steps.iter().map(|step| step.mask_rate).collect();
        assert_eq!(masks, [0.8, 0.6, 0.399_999_98, 0.199_999_99, 0.0]);
        let splits: Vec<Split> = steps.iter().map(|s| Split::new(512, 0.25, s.context_ratio).unwrap()).collect();
        let sizes: Vec<_> = splits.iter().map(|split| (split.n_prompt, split.n_base, split.n_context)).collect();
        assert_eq!(sizes, [(128, 231, 230), (128, 256, 256), (128, 282, 281), (128, 308, 307), (128, 333, 332)]);
        assert_eq!(steps.iter().map(|step| step.seed).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn ratios_that_leave_no_room_are_refused() {
        for (prompt, context) in [(0.6, 0.4), (0.0, 0.0), (-0.1, 0.5), (f64::NAN, 0.5), (0.5, f64::INFINITY)] {
            let split = Split::new(512, prompt, ContextRatio::Double(context));
            assert!(matches!(split, Err(ScheduleError::Ratios { .. })), "{prompt} {context}");
        }
        assert!(Split::new(512, 0.5, ContextRatio::Single(0.499_999_97)).is_err(), "the sum is 1 in f32");
        assert!(matches!(Split::new(2, 0.1, ContextRatio::Double(0.1)), Err(ScheduleError::NoContext { n_cells: 2 })));
        for count in [0, MOST_STEPS + 1, u32::MAX] {
            let wrong = Sampling { diffusion_steps: count, ..Sampling::default() };
            assert_eq!(steps(&wrong), Err(ScheduleError::Steps(count)));
        }
    }

    #[test]
    fn the_share_to_replace_is_kept_within_bounds() {
        assert_eq!(threshold(&[], 10, 0.0), None);
        // One of ten is masked and half should stay masked: nothing below the lowest is replaced.
        assert_eq!(threshold(&[3.0], 10, 0.5), Some(3.0));
        assert_eq!(threshold(&[1.0, 5.0], 10, 0.5), Some(1.0));
        assert_eq!(threshold(&[1.0, 5.0], 2, 0.0), Some(5.0));
    }
}
