//! Any bytes as a pickle: an error or a value, in memory linear in the input.
#![no_main]

use haystack_fuzz::stack::checkpoint::pickle::{Node, Pickle, Ref};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(pickle) = Pickle::read(bytes) else { return };
    let mut open = vec![pickle.root()];
    let mut seen = std::collections::HashSet::new();
    // A value may contain itself.
    while let Some(at) = open.pop().filter(|_| seen.len() < 100_000) {
        if !seen.insert(at) {
            continue;
        }
        let parts: Vec<Ref> = match pickle.node(at) {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) => items.clone(),
            Node::Dict(entries) => entries.iter().flat_map(|(key, value)| [*key, *value]).collect(),
            Node::Persistent(inner) => vec![*inner],
            Node::Call { arguments, state, .. } => [*arguments].into_iter().chain(*state).collect(),
            _ => Vec::new(),
        };
        open.extend(parts);
    }
});
