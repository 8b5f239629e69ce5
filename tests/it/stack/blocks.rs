//! Each block of the network by itself: the reference's input in, the reference's output out. An error in
//! one block shows in its test and in no other.

use candle_core::{Device, Tensor};
use haystack::stack::checkpoint::Checkpoint;
use haystack::stack::model::States;
use haystack::stack::tensors::Network;

use super::parity::base;
use super::reference::{Tensors, base_checkpoint, computes, models};

#[test]
fn the_tokenizer() {
    each(|model, stored| {
        let counts = stored.counts("counts");
        let rows: Vec<usize> = (0..counts.n_rows()).collect();
        stored.check("tokens", model.tokens(&counts, &rows).unwrap().values());
    });
}

/// Attention alone, then with its residual and norm.
#[test]
fn attention_within_cells() {
    layer(|network, stored, n_cells| {
        let (first, position) = (&network.layers()[0], network.gene_pos_embedding());
        let (h, t) = position.dims2().unwrap();
        let tokens = tensor(stored, "tokens", &[n_cells, h, t]);
        let attended = first.cell_attn.forward(&tokens.broadcast_add(position).unwrap(), 0).unwrap();
        stored.check("layer0.cell_attn", &values(&attended));
        stored.check("layer0.cell_norm", &values(&first.within_cells(&tokens, position).unwrap()));
    });
}

#[test]
fn attention_between_cells() {
    layer(|network, stored, n_cells| {
        let first = &network.layers()[0];
        let (h, t) = network.gene_pos_embedding().dims2().unwrap();
        // Windows of the reference are one behind the other.
        let n_windows = stored.shape("layer0.gene_norm")[0];
        let before = tensor(stored, "layer0.cell_norm", &[n_windows, n_cells / n_windows, h * t]);
        stored.check("layer0.gene_attn", &values(&first.gene_attn.forward(&before, 0).unwrap()));
        let mut after = Vec::new();
        for window in 0..n_windows {
            let cells = before.get(window).unwrap().reshape((n_cells / n_windows, h, t)).unwrap();
            after.extend(values(&first.between_cells(&cells, 0).unwrap()));
        }
        stored.check("layer0.gene_norm", &after);
    });
}

#[test]
fn the_token_mlp() {
    layer(|network, stored, n_cells| {
        let first = &network.layers()[0];
        let (h, t) = network.gene_pos_embedding().dims2().unwrap();
        let before = tensor(stored, "layer0.gene_norm", &[n_cells, h, t]);
        stored.check("layer0.mlp", &values(&first.mlp.forward(&before).unwrap()));
        stored.check("layer0.out", &values(&first.token_mlp(&before).unwrap()));
    });
}

#[test]
fn the_output_head() {
    each(|model, stored| {
        let embeddings = States::new(stored.values("embeddings"), model.config().width());
        stored.check_rows("px_scale", &model.scales(&embeddings).unwrap());
        stored.check("nb_dispersion", &model.dispersions(&embeddings).unwrap());
    });
}

/// Every base model, every way to compute.
fn each(check: impl Fn(&haystack::stack::model::Model, &Tensors)) {
    for folder in models() {
        for compute in computes() {
            check(&base(&folder, &compute), &Tensors::load(&folder.join("forward_base.safetensors")));
        }
    }
}

/// The first layer of every base model in tensors, with the number of cells of the reference's input. Other
/// ways to compute do not take a layer apart; `parity` compares what they have after each block.
fn layer(check: impl Fn(&Network, &Tensors, usize)) {
    for folder in models() {
        let mut checkpoint = Checkpoint::open(&base_checkpoint(&folder)).unwrap();
        let network = Network::load(&mut checkpoint, &Device::Cpu).unwrap();
        let stored = Tensors::load(&folder.join("forward_base.safetensors"));
        let shape = stored.shape("counts");
        check(&network, &stored, shape[0] * shape[1]);
    }
}

fn tensor(stored: &Tensors, name: &str, shape: &[usize]) -> Tensor {
    Tensor::from_vec(stored.values(name), shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
