//! Whether a survey is worth its price.

use crate::settings::{SurveyMode, ZeroMapSettings};

/// Keys in one LIST answer.
const KEYS_PER_LIST: u32 = 1000;

/// What S3 Standard charges for a LIST (us-east-1; the dearest regions charge 1.8 times that).
const DOLLARS_PER_LIST: f64 = 0.005 / 1000.0;

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
        // Also checks a map that was loaded.
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
        assert_eq!(plan(&ZeroMapSettings { survey: SurveyMode::On, ..auto() }, 1000, true), Plan::Run);
    }
}
