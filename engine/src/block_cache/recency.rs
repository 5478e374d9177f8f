//! Which clean block goes first: least recently used, protected blocks last.

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// An entry's place in a list, kept inside the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) older: u32,
    pub(crate) newer: u32,
    pub(crate) list: List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Out,
    Plain,
    Protected,
}

impl Links {
    pub(crate) const OUT: Links = Links { older: NONE, newer: NONE, list: List::Out };
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: u32,
    newest: u32,
}

/// Two doubly linked lists through a table of entries.
#[derive(Debug)]
pub(crate) struct Recency {
    plain: Ends,
    protected: Ends,
    len: u32,
}

/// The table whose entries carry the links.
pub(crate) trait Linked {
    fn links(&mut self, index: u32) -> &mut Links;
}

impl Recency {
    pub(crate) fn new() -> Self {
        let empty = Ends { oldest: NONE, newest: NONE };
        Self { plain: empty, protected: empty, len: 0 }
    }

    /// Entries in both lists.
    #[cfg(test)]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    fn ends(&mut self, list: List) -> &mut Ends {
        if list == List::Protected { &mut self.protected } else { &mut self.plain }
    }

    /// Puts an entry that is in no list at the newest end.
    pub(crate) fn push(&mut self, table: &mut impl Linked, index: u32, protected: bool) {
        let list = if protected { List::Protected } else { List::Plain };
        debug_assert_eq!(table.links(index).list, List::Out);
        let ends = self.ends(list);
        let older = std::mem::replace(&mut ends.newest, index);
        if older == NONE {
            ends.oldest = index;
        } else {
            table.links(older).newer = index;
        }
        *table.links(index) = Links { older, newer: NONE, list };
        self.len += 1;
    }

    /// Takes an entry out, if it is in a list.
    pub(crate) fn remove(&mut self, table: &mut impl Linked, index: u32) {
        let Links { older, newer, list } = std::mem::replace(table.links(index), Links::OUT);
        if list == List::Out {
            return;
        }
        let ends = self.ends(list);
        if older == NONE {
            ends.oldest = newer;
        } else {
            table.links(older).newer = newer;
        }
        let ends = self.ends(list);
        if newer == NONE {
            ends.newest = older;
        } else {
            table.links(newer).older = older;
        }
        self.len -= 1;
    }

    /// Marks an entry of a list as just used.
    pub(crate) fn touch(&mut self, table: &mut impl Linked, index: u32) {
        let links = *table.links(index);
        if links.list != List::Out && links.newer != NONE {
            self.remove(table, index);
            self.push(table, index, links.list == List::Protected);
        }
    }

    /// The next to go: plain ones first.
    pub(crate) fn oldest(&self) -> Option<u32> {
        [self.plain.oldest, self.protected.oldest].into_iter().find(|index| *index != NONE)
    }

    /// The oldest of each list: nothing behind them has been unused for longer.
    pub(crate) fn oldest_of_each(&self) -> impl Iterator<Item = u32> + use<> {
        [self.plain.oldest, self.protected.oldest].into_iter().filter(|index| *index != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, index: u32) -> &mut Links {
            &mut self[index as usize]
        }
    }

    #[test]
    fn order_is_by_use_and_protected_go_last() {
        let mut table = vec![Links::OUT; 6];
        let mut recency = Recency::new();
        for index in 0..6 {
            recency.push(&mut table, index, index < 2);
        }
        recency.touch(&mut table, 2);
        recency.touch(&mut table, 0);
        recency.remove(&mut table, 4);
        let mut order = Vec::new();
        while let Some(index) = recency.oldest() {
            order.push(index);
            recency.remove(&mut table, index);
        }
        assert_eq!(order, [3, 5, 2, 1, 0]);
        assert_eq!(recency.len(), 0);
        recency.remove(&mut table, 4);
        assert_eq!(recency.oldest(), None);
    }
}
