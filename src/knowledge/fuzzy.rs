//! Names that are nearly alike: shared words, rare ones counting more, with room for a slip of the
//! finger in each.

use std::collections::HashMap;

/// A name among those compared with.
struct Name {
    /// Which entry of the caller it belongs to.
    entry: u32,
    words: Vec<u32>,
    /// Sum of the weights of its words.
    weight: f64,
}

/// A name that is near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    /// Which entry of the caller it belongs to.
    pub entry: u32,
    /// Twice the weight of the shared words over the weight of both names; 1 is the same.
    pub similarity: f64,
    /// Whether every word has its counterpart, differing by slips of the finger at most.
    pub slips_only: bool,
}

/// Names by their words.
#[derive(Default)]
pub(super) struct Fuzzy {
    vocabulary: HashMap<String, u32>,
    spellings: Vec<String>,
    /// Words by first letter and length, where near spellings are looked for.
    shelves: HashMap<(char, usize), Vec<u32>>,
    /// Names that have a word.
    postings: Vec<Vec<u32>>,
    names: Vec<Name>,
    /// What a word is worth: the rarer, the more.
    weights: Vec<f64>,
}

/// At most this many names are looked at per word, rare words first.
const MAX_POSTINGS: usize = 4000;

impl Fuzzy {
    /// Adds a name of an entry.
    pub fn add(&mut self, entry: u32, words: &[&str]) {
        let name = self.names.len() as u32;
        let mut ids: Vec<u32> = words.iter().map(|word| self.word(word)).collect();
        ids.sort_unstable();
        ids.dedup();
        for &id in &ids {
            self.postings[id as usize].push(name);
        }
        self.names.push(Name { entry, words: ids, weight: 0.0 });
    }

    /// To be called once after the last [`Fuzzy::add`].
    pub fn finish(&mut self) {
        let n = self.names.len() as f64;
        self.weights = self.postings.iter().map(|names| ((n + 1.0) / (names.len() as f64 + 0.5)).ln()).collect();
        for name in &mut self.names {
            name.weight = name.words.iter().map(|&word| self.weights[word as usize]).sum();
        }
        for (id, spelling) in self.spellings.iter().enumerate() {
            if let Some(first) = spelling.chars().next() {
                self.shelves.entry((first, spelling.chars().count())).or_default().push(id as u32);
            }
        }
    }

    /// The entries with the most similar names, best first.
    pub fn nearest(&self, words: &[String], limit: usize) -> Vec<Near> {
        let unknown_weight = (self.names.len() as f64 + 1.0).ln();
        // For each word asked for: the words we have that are like it, and how like.
        let alike: Vec<Vec<(u32, f64)>> = words.iter().map(|word| self.alike(word)).collect();
        let mut asked_weight = 0.0;
        let mut shared: HashMap<u32, f64> = HashMap::new();
        let mut order: Vec<usize> = (0..words.len()).collect();
        let rarity = |at: &usize| alike[*at].iter().map(|(id, _)| self.postings[*id as usize].len()).min().unwrap_or(0);
        order.sort_by_key(rarity);
        for at in order {
            let best = alike[at].first().map_or(unknown_weight, |(id, _)| self.weights[*id as usize]);
            asked_weight += best;
            let mut credited: HashMap<u32, f64> = HashMap::new();
            for &(id, similarity) in &alike[at] {
                let names = &self.postings[id as usize];
                let credit = 2.0 * similarity * self.weights[id as usize];
                if names.len() > MAX_POSTINGS && !shared.is_empty() {
                    // A word as common as `cell` only adds to names that rarer words have found.
                    for &name in shared.keys() {
                        if self.names[name as usize].words.binary_search(&id).is_ok() {
                            let best = credited.entry(name).or_default();
                            *best = best.max(credit);
                        }
                    }
                } else {
                    for &name in names.iter().take(MAX_POSTINGS) {
                        let best = credited.entry(name).or_default();
                        *best = best.max(credit);
                    }
                }
            }
            for (name, credit) in credited {
                *shared.entry(name).or_default() += credit;
            }
        }
        let mut best: HashMap<u32, Near> = HashMap::new();
        for (name, credit) in shared {
            let name = &self.names[name as usize];
            let similarity = (credit / (asked_weight + name.weight)).min(1.0);
            let near = Near { entry: name.entry, similarity, slips_only: similarity > 0.5 && pairs_up(&alike, name) };
            let before = best.entry(name.entry).or_insert(near);
            if (near.slips_only, near.similarity) > (before.slips_only, before.similarity) {
                *before = near;
            }
        }
        let mut best: Vec<_> = best.into_values().collect();
        best.sort_by(|a, b| {
            let key = |near: &Near| (near.slips_only, near.similarity);
            key(b).partial_cmp(&key(a)).unwrap_or(std::cmp::Ordering::Equal).then(a.entry.cmp(&b.entry))
        });
        best.truncate(limit);
        best
    }

    fn word(&mut self, word: &str) -> u32 {
        if let Some(&id) = self.vocabulary.get(word) {
            return id;
        }
        let id = self.spellings.len() as u32;
        self.vocabulary.insert(word.to_owned(), id);
        self.spellings.push(word.to_owned());
        self.postings.push(Vec::new());
        id
    }

    /// The word itself, or words one slip away (two in long words) with the same first letter.
    fn alike(&self, word: &str) -> Vec<(u32, f64)> {
        if let Some(&id) = self.vocabulary.get(word) {
            return vec![(id, 1.0)];
        }
        let length = word.chars().count();
        // Short words and numbers differ by meaning, not by a slip.
        let slips = match length {
            _ if word.bytes().any(|b| b.is_ascii_digit()) => 0,
            0..=3 => 0,
            4..=8 => 1,
            _ => 2,
        };
        let Some(first) = word.chars().next().filter(|_| slips > 0) else { return Vec::new() };
        let mut found = Vec::new();
        for other in length - slips..=length + slips {
            for &id in self.shelves.get(&(first, other)).into_iter().flatten() {
                let distance = strsim::osa_distance(word, &self.spellings[id as usize]);
                if distance <= slips {
                    found.push((id, 1.0 - distance as f64 / length as f64));
                }
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}

/// Whether each word asked for is like another word of the name, and none is left over.
fn pairs_up(alike: &[Vec<(u32, f64)>], name: &Name) -> bool {
    let mut free = name.words.clone();
    for like in alike {
        match free.iter().position(|word| like.iter().any(|(id, _)| id == word)) {
            Some(at) => _ = free.swap_remove(at),
            None => return false,
        }
    }
    free.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Fuzzy {
        let mut fuzzy = Fuzzy::default();
        for (entry, name) in
            ["b cell", "t cell", "lung fibroblast", "cardiac fibroblast", "macrophage"].iter().enumerate()
        {
            fuzzy.add(entry as u32, &name.split(' ').collect::<Vec<_>>());
        }
        fuzzy.finish();
        fuzzy
    }

    fn nearest(text: &str) -> Vec<Near> {
        names().nearest(&text.split(' ').map(str::to_owned).collect::<Vec<_>>(), 3)
    }

    #[test]
    fn slips_are_forgiven_and_order_does_not_matter() {
        assert_eq!(nearest("macrophgae")[0].entry, 4);
        assert_eq!(nearest("fibroblast lung")[0], Near { entry: 2, similarity: 1.0, slips_only: true });
        let slipped = nearest("lung fibroblsat")[0];
        assert!(slipped.entry == 2 && slipped.slips_only && slipped.similarity < 1.0, "{slipped:?}");
    }

    #[test]
    fn rare_words_count_more_and_a_missing_one_is_no_slip() {
        let found = nearest("renal fibroblast");
        assert_eq!(found[0].similarity, found[1].similarity, "both fibroblasts share as much");
        assert!(found[0].similarity < 0.7 && !found[0].slips_only);
        assert!(!nearest("fibroblast")[0].slips_only);
        assert!(nearest("xyzzy").is_empty());
    }
}
