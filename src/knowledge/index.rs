//! All names of one kind by their words: the names that share the rare words of a label, with room for
//! a slip of the finger in each word.

use std::collections::HashMap;

use super::normalize::only_joins;

/// A name as it is held.
pub(super) struct Name {
    /// Which entry of the caller it belongs to.
    pub entry: u32,
    /// How it belongs to it, in the caller's code.
    pub rank: u8,
    start: u32,
    len: u16,
    /// Sum of the weights of its words.
    pub weight: f32,
}

/// Names by their words.
#[derive(Default)]
pub(super) struct Index {
    vocabulary: HashMap<String, u32>,
    spellings: Vec<String>,
    /// Words by first letter and length, where near spellings are looked for.
    shelves: HashMap<(char, usize), Vec<u32>>,
    /// Markers without their sign, where other signs are looked for.
    unsigned: HashMap<String, Vec<u32>>,
    /// Names that have a word.
    postings: Vec<Vec<u32>>,
    names: Vec<Name>,
    words: Vec<u32>,
    /// What a word is worth, 0 to 1: the rarer, the more.
    weights: Vec<f32>,
}

/// A word of a label among the words held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// The words held that it may be, with how alike they are; best first, empty if it is unknown.
    pub like: Vec<(u32, f32)>,
    /// What it is worth.
    pub weight: f32,
}

/// What a label and a name have in common.
pub(super) struct Overlap {
    /// What the shared words are worth.
    pub shared: f32,
    /// Whether each word of one has its counterpart in the other.
    pub complete: bool,
    /// Whether a shared word is not spelled the same.
    pub slips: bool,
}

/// At most this many names are looked at per word, rare words first.
const MAX_POSTINGS: usize = 3000;

impl Index {
    /// Adds a name of an entry.
    pub fn add(&mut self, entry: u32, rank: u8, words: &[String]) {
        let name = self.names.len() as u32;
        let start = self.words.len() as u32;
        let mut len = 0;
        for word in words.iter().take(usize::from(u16::MAX)) {
            let id = self.word(word);
            self.words.push(id);
            let names = &mut self.postings[id as usize];
            if names.last() != Some(&name) {
                names.push(name);
            }
            len += 1;
        }
        self.names.push(Name { entry, rank, start, len, weight: 0.0 });
    }

    /// To be called once after the last [`Index::add`].
    pub fn finish(&mut self) {
        let most = (self.names.len() as f32 + 1.0).ln();
        let weigh = |names: &Vec<u32>| (1.0 - (names.len() as f32 + 0.5).ln().max(0.0) / most).clamp(0.02, 1.0);
        self.weights = self.postings.iter().map(weigh).collect();
        for at in 0..self.names.len() {
            self.names[at].weight = self.words_of(at as u32).iter().map(|&word| self.weights[word as usize]).sum();
        }
        for (id, spelling) in self.spellings.iter().enumerate() {
            if let Some(first) = spelling.chars().next() {
                self.shelves.entry((first, spelling.chars().count())).or_default().push(id as u32);
            }
            if let Some(marker) = spelling.strip_suffix(SIGNS) {
                self.unsigned.entry(marker.to_owned()).or_default().push(id as u32);
            }
        }
    }

    /// A name.
    pub fn name(&self, name: u32) -> &Name {
        &self.names[name as usize]
    }

    /// The words of a name, in order.
    pub fn words_of(&self, name: u32) -> &[u32] {
        let Name { start, len, .. } = self.names[name as usize];
        &self.words[start as usize..start as usize + usize::from(len)]
    }

    /// A word as it is spelled.
    pub fn spelling(&self, word: u32) -> &str {
        &self.spellings[word as usize]
    }

    /// What a word is worth.
    pub fn weight(&self, word: u32) -> f32 {
        self.weights[word as usize]
    }

    /// The words of a label among those held.
    pub fn asked(&self, words: &[String]) -> Vec<Asked> {
        let asked = |word: &String| {
            let like = self.alike(word);
            let weight = like.first().map_or(1.0, |(id, _)| self.weights[*id as usize]);
            Asked { like, weight }
        };
        words.iter().map(asked).collect()
    }

    /// The names that share most with a label, best first.
    pub fn nearest(&self, asked: &[Asked], limit: usize) -> Vec<u32> {
        let mut order: Vec<&Asked> = asked.iter().filter(|word| !word.like.is_empty()).collect();
        order.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let all: f32 = asked.iter().map(|word| word.weight).sum();
        let mut shared: HashMap<u32, f32> = HashMap::new();
        for word in order {
            for &(id, similarity) in &word.like {
                let names = &self.postings[id as usize];
                let credit = similarity * self.weights[id as usize];
                if names.len() > MAX_POSTINGS && !shared.is_empty() {
                    // A word as common as `disease` only adds to names that rarer words have found.
                    for (name, sum) in &mut shared {
                        if self.words_of(*name).contains(&id) {
                            *sum += credit;
                        }
                    }
                } else {
                    for &name in names.iter().take(MAX_POSTINGS) {
                        *shared.entry(name).or_default() += credit;
                    }
                }
            }
        }
        let mut found: Vec<(f32, u32)> = shared
            .into_iter()
            .map(|(name, sum)| (2.0 * sum / (all + self.names[name as usize].weight), name))
            .collect();
        let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if found.len() > limit {
            found.select_nth_unstable_by(limit, better);
            found.truncate(limit);
        }
        found.sort_by(better);
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// What a label shares with a name. Words that only join others do not count; the label comes
    /// without them.
    pub fn overlap(&self, asked: &[Asked], name: u32) -> Overlap {
        let tells = |word: &u32| !only_joins(self.spelling(*word));
        let mut free: Vec<u32> = self.words_of(name).iter().copied().filter(tells).collect();
        let (mut shared, mut slips) = (0.0, false);
        let mut complete = true;
        for word in asked {
            let met = word.like.iter().find_map(|(id, similarity)| {
                let at = free.iter().position(|held| held == id)?;
                Some((at, similarity))
            });
            match met {
                Some((at, similarity)) => {
                    free.swap_remove(at);
                    shared += similarity * word.weight;
                    slips |= *similarity < 1.0;
                }
                None => complete = false,
            }
        }
        Overlap { shared, complete: complete && free.is_empty(), slips }
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

    /// The word itself; or the marker with another sign that does not contradict; or words one slip away
    /// (two in long words) with the same first letter.
    fn alike(&self, word: &str) -> Vec<(u32, f32)> {
        if let Some(&id) = self.vocabulary.get(word) {
            return vec![(id, 1.0)];
        }
        if let Some(marker) = word.strip_suffix(SIGNS) {
            let sign = word.chars().next_back();
            let others = self.unsigned.get(marker).into_iter().flatten();
            let compatible = |id: &&u32| {
                let signs = (sign, self.spelling(**id).chars().next_back());
                matches!(
                    signs,
                    (Some('+'), Some('^')) | (Some('^'), Some('+')) | (Some('-'), Some('_')) | (Some('_'), Some('-'))
                )
            };
            return others.filter(compatible).map(|&id| (id, 0.8)).collect();
        }
        let length = word.chars().count();
        // Short words and numbers differ by meaning, not by a slip.
        let slips = match length {
            _ if word.bytes().any(|b| b.is_ascii_digit()) => 0,
            0..=5 => 0,
            6..=11 => 1,
            _ => 2,
        };
        let Some(first) = word.chars().next().filter(|_| slips > 0) else { return Vec::new() };
        let mut found = Vec::new();
        for other in length - slips..=length + slips {
            for &id in self.shelves.get(&(first, other)).into_iter().flatten() {
                let distance = strsim::osa_distance(word, &self.spellings[id as usize]);
                if distance <= slips {
                    found.push((id, 1.0 - distance as f32 / length as f32));
                }
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(4);
        found
    }
}

/// How a marker's sign is spelled: positive, negative, high, low.
const SIGNS: [char; 4] = ['+', '-', '^', '_'];

/// Whether two markers are one with contradicting signs.
pub(super) fn contradict(a: &str, b: &str) -> bool {
    let split = |word: &'_ str| word.strip_suffix(SIGNS).map(|marker| (marker.len(), word.ends_with(['+', '^'])));
    match (split(a), split(b)) {
        (Some((n, up)), Some((m, other))) => n == m && a[..n] == b[..m] && up != other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for (entry, name) in
            ["b cell", "t cell", "lung fibroblast", "heart fibroblast", "macrophage", "cd56^ nk"].iter().enumerate()
        {
            index.add(entry as u32, 0, &words(name));
        }
        index.finish();
        index
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn nearest(text: &str) -> Vec<u32> {
        let index = index();
        index.nearest(&index.asked(&words(text)), 3)
    }

    #[test]
    fn the_name_that_shares_most_comes_first() {
        assert_eq!(nearest("fibroblast lung")[0], 2);
        assert_eq!(nearest("macrophgae"), [4]);
        assert_eq!(nearest("cd56+ nk"), [5]);
        assert!(nearest("cd56- xyzzy").is_empty());
    }

    #[test]
    fn signs_contradict_only_on_the_same_marker() {
        assert!(contradict("cd16+", "cd16-") && contradict("cd56^", "cd56_"));
        assert!(!contradict("cd16+", "cd16^") && !contradict("cd16+", "cd56-") && !contradict("b", "cd16-"));
    }
}
