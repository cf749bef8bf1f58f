//! A line as words: `who verb what name=value … flag`.

pub struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Self {
        Self(line.split_whitespace().collect())
    }

    pub fn first(&self) -> &'a str {
        self.word(0)
    }

    pub fn word(&self, at: usize) -> &'a str {
        self.0
            .get(at)
            .copied()
            .unwrap_or_else(|| panic!("a word is missing: {:?}", self.0))
    }

    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// The parts of `name=a,b`; none when it is missing or empty.
    pub fn list(&self, name: &str) -> Vec<&'a str> {
        let parts = self
            .value(name)
            .into_iter()
            .flat_map(|list| list.split(','));
        parts.filter(|part| !part.is_empty()).collect()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.value(name).map_or(0, |number| number.parse().unwrap())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}
