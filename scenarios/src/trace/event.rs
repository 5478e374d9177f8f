//! Which of a block request's events stands for it: all would count it several times.

/// In order of preference: completions are in the wrong order for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// What the file system sent.
    Queued,
    /// What the device got after merging.
    Issued,
    Completed,
}

impl Event {
    pub fn letter(self) -> char {
        match self {
            Self::Queued => 'Q',
            Self::Issued => 'D',
            Self::Completed => 'C',
        }
    }

    pub fn of_letter(letter: char) -> Option<Self> {
        [Self::Queued, Self::Issued, Self::Completed].into_iter().find(|event| event.letter() == letter)
    }

    /// What was looked for, for messages.
    pub fn sought(wanted: Option<Self>) -> String {
        wanted.map_or("Q, D or C".into(), |event| event.letter().to_string())
    }

    /// Takes note of an event that occurred; true once nothing better can come.
    pub fn improves(self, best: &mut Option<Self>, wanted: Option<Self>) -> bool {
        if wanted.is_none_or(|wanted| wanted == self) {
            *best = Some(best.map_or(self, |so_far| so_far.min(self)));
        }
        *best == Some(wanted.unwrap_or(Self::Queued))
    }
}
