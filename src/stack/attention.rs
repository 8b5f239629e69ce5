//! Multi-head attention as the network uses it twice: between the gene tokens of a cell, and
//! between the cells of a window.

use candle_core::{D, Result, Tensor};
use candle_nn::{Linear, Module};

/// Softmax(Q Kᵀ / √width) V, heads side by side, then a linear map.
#[derive(Clone, Debug)]
pub struct Attention {
    /// `[3 d, d]`, no bias: all of Q, then all of K, then all of V; heads contiguous in each.
    pub qkv: Linear,
    /// `[d, d]`.
    pub proj: Linear,
    /// A divisor of d.
    pub heads: usize,
}

impl Attention {
    /// Attends within each of `n` sequences: `[n, length, d]` to `[n, length, d]`.
    ///
    /// The first `n_prompt` elements of a sequence see only each other; all others see everything.
    /// 0 or the whole length blocks nothing.
    pub fn forward(&self, x: &Tensor, n_prompt: usize) -> Result<Tensor> {
        let (n, length, width) = x.dims3()?;
        let qkv = self.qkv.forward(x)?.reshape((n, length, 3, self.heads, width / self.heads))?;
        // Three times [n, heads, length, width of a head].
        let part = |i: usize| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let mixed = if n_prompt == 0 || n_prompt >= length {
            attend(&q, &k, &v)?
        } else {
            let prompt = |t: &Tensor| t.narrow(2, 0, n_prompt)?.contiguous();
            let others = q.narrow(2, n_prompt, length - n_prompt)?.contiguous()?;
            let first = attend(&prompt(&q)?, &prompt(&k)?, &prompt(&v)?)?;
            Tensor::cat(&[first, attend(&others, &k, &v)?], 2)?
        };
        self.proj.forward(&mixed.transpose(1, 2)?.contiguous()?.reshape((n, length, width))?)
    }
}

/// `[n, heads, rows, w]` × `[n, heads, columns, w]` → `[n, heads, rows, w]`.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    // Scaling Q rather than the scores: there are far fewer of it.
    let scale = (q.dim(D::Minus1)? as f64).powf(-0.5);
    let scores = (q * scale)?.matmul(&k.t()?)?;
    candle_nn::ops::softmax_last_dim(&scores)?.matmul(v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// One head of width 1 whose Q is 0, so that all that is seen weighs the same, and whose V is x.
    fn averaging() -> Attention {
        let qkv = Tensor::new(&[[0.0_f32], [0.0], [1.0]], &Device::Cpu).unwrap();
        let one = Tensor::new(&[[1.0_f32]], &Device::Cpu).unwrap();
        let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        Attention { qkv: Linear::new(qkv, None), proj: Linear::new(one, Some(zero)), heads: 1 }
    }

    #[test]
    fn prompt_cells_see_each_other_and_the_rest_see_all() {
        let x = Tensor::new(&[[[1.0_f32], [3.0], [5.0], [11.0]]], &Device::Cpu).unwrap();
        let seen =
            |n_prompt| averaging().forward(&x, n_prompt).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(seen(2), [2.0, 2.0, 5.0, 5.0]);
        assert_eq!(seen(0), [5.0; 4]);
        assert_eq!(seen(4), [5.0; 4]);
    }
}
