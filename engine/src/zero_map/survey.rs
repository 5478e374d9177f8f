//! The background survey: whether it is worth its price, and its run.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Inner;
use super::bits::Bits;
use crate::running::RunningGuard;
use crate::settings::{SurveyMode, ZeroMapSettings};
use crate::store::SurveySink;

/// Keys in one LIST answer.
const KEYS_PER_LIST: u32 = 1000;

/// What S3 Standard charges for a LIST (us-east-1; the dearest regions charge 1.8 times that).
const DOLLARS_PER_LIST: f64 = 0.005 / 1000.0;

/// Words of the map that a survey sets under one lock: 256 Ki blocks, some microseconds.
const SURVEY_WORDS: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Run,
    /// Not wanted, or of no use.
    No,
    /// Too dear; the text is for the user.
    Skip(String),
}

/// Decides for a volume of `blocks`; `complete` when every block that is zero is known already.
pub(super) fn plan(settings: &ZeroMapSettings, blocks: u32, complete: bool) -> Plan {
    match settings.survey {
        SurveyMode::Off => return Plan::No,
        // Also checks a map that claims to know all.
        SurveyMode::On => return Plan::Run,
        SurveyMode::Auto if complete => return Plan::No,
        SurveyMode::Auto => {}
    }
    // At most: a sparse volume has fewer keys than blocks. Each parallel listing ends with a page that is not full.
    let lists = blocks.div_ceil(KEYS_PER_LIST).saturating_add(settings.threads);
    let dollars = f64::from(lists) * DOLLARS_PER_LIST;
    if dollars <= settings.max_cost {
        return Plan::Run;
    }
    Plan::Skip(format!(
        "the survey of {blocks} blocks is skipped: it may need {lists} LIST requests (${dollars:.2}), more than \
         --survey-max-cost={}; the first read of each empty block costs a GET instead. To survey anyway use --list-blocks or \
         --survey-max-cost={:.2}",
        settings.max_cost,
        (dollars * 100.0).ceil() / 100.0
    ))
}

/// Whether [`SurveyMode::Auto`] skips the survey of so many blocks for its price.
pub fn survey_is_too_dear(settings: &ZeroMapSettings, blocks: u32) -> bool {
    let auto = ZeroMapSettings { survey: SurveyMode::Auto, ..settings.clone() };
    matches!(plan(&auto, blocks, false), Plan::Skip(_))
}

impl Inner {
    pub(super) async fn run_survey(self: Arc<Self>, _running: RunningGuard) {
        let mut closing = self.closing.subscribe();
        let candidates = Arc::new(Bits::all(self.geometry.blocks()));
        self.turns.lock().start_survey(candidates);
        let contradicted = Arc::new(AtomicU64::new(0));
        let result = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => None,
            result = self.below.survey(self.survey_sink(&contradicted)) => Some(result),
        };
        match result {
            Some(Ok(())) => {
                for words in portions(self.zero.word_count()) {
                    {
                        let mut turns = self.turns.lock();
                        turns.apply_survey(words);
                        self.stats.zero_map.known_zero.set(self.zero.members());
                    }
                    tokio::task::yield_now().await;
                }
                self.complete.store(true, Ordering::Release);
                tracing::info!(
                    "survey finished: {} of {} blocks are zero",
                    self.zero.members(),
                    self.geometry.blocks()
                );
            }
            Some(Err(error)) => {
                tracing::warn!(
                    "survey failed, nothing is taken from it (reads of empty blocks cost a GET each): {error}"
                );
            }
            None => tracing::debug!("survey given up at close"),
        }
        self.turns.lock().end_survey();
        self.surveying.store(false, Ordering::Release);
        let contradicted = contradicted.load(Ordering::Relaxed);
        if contradicted > 0 {
            tracing::warn!(
                "{contradicted} blocks believed to be zero are in the store: another program wrote the volume; \
                 unmount, and check the file system before going on"
            );
        }
    }

    fn survey_sink(self: &Arc<Self>, contradicted: &Arc<AtomicU64>) -> SurveySink {
        let (inner, contradicted) = (self.clone(), contradicted.clone());
        Arc::new(move |found| {
            let mut turns = inner.turns.lock();
            let wrong = found.iter().filter(|block| turns.survey_found(**block)).count();
            contradicted.fetch_add(wrong as u64, Ordering::Relaxed);
        })
    }
}

fn portions(words: usize) -> impl Iterator<Item = Range<usize>> {
    (0..words).step_by(SURVEY_WORDS).map(move |start| start..words.min(start + SURVEY_WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto() -> ZeroMapSettings {
        ZeroMapSettings { survey: SurveyMode::Auto, max_cost: 0.05, ..ZeroMapSettings::default() }
    }

    #[test]
    fn a_survey_runs_up_to_its_price() {
        // 1 TiB of 256 KiB blocks: 4.2 k LISTs, 2 cents.
        assert_eq!(plan(&auto(), 1 << 22, false), Plan::Run);
        // 1 TiB of 4 KiB blocks: 268 k LISTs, $1.34.
        let Plan::Skip(notice) = plan(&auto(), 1 << 28, false) else { panic!("must be skipped") };
        for part in ["268452 LIST", "$1.34", "--survey-max-cost=0.05", "--list-blocks", "--survey-max-cost=1.35"] {
            assert!(notice.contains(part), "{part:?} is not in {notice:?}");
        }
        assert_eq!(plan(&ZeroMapSettings { max_cost: 1.35, ..auto() }, 1 << 28, false), Plan::Run);
        assert_eq!(plan(&ZeroMapSettings { survey: SurveyMode::On, ..auto() }, u32::MAX, false), Plan::Run);
    }

    #[test]
    fn nothing_to_learn_no_survey() {
        assert_eq!(plan(&auto(), 1000, true), Plan::No);
        assert_eq!(plan(&ZeroMapSettings { survey: SurveyMode::Off, ..auto() }, 1000, false), Plan::No);
        // Asked for by name it checks a loaded map.
        assert!(!survey_is_too_dear(&ZeroMapSettings { survey: SurveyMode::On, ..auto() }, 1 << 22));
        assert!(survey_is_too_dear(&ZeroMapSettings { survey: SurveyMode::On, ..auto() }, 1 << 28));
        assert_eq!(plan(&ZeroMapSettings { survey: SurveyMode::On, ..auto() }, 1000, true), Plan::Run);
    }
}
