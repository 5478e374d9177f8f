//! Windows of real traces: do they add up to the whole?

use s3b_scenarios::Op;
use s3b_tuner::analysis::windows::{Picker, Selection};

use crate::recorded;

fn pick(ops: &[Op], budget_s: u64) -> Selection {
    let mut picker = Picker::new(ops[ops.len() - 1].time_ns, budget_s * 1_000_000_000);
    ops.iter().for_each(|op| picker.add(op, op.offset));
    picker.pick(1)
}

#[test]
fn pickings() {
    for (name, ops) in [("vm", recorded::vm_io()), ("postmark", recorded::postmark()), ("sqlite", recorded::sqlite())] {
        for budget in [60, 120, 300, 480, 600] {
            let found = pick(ops.as_ref().unwrap(), budget);
            eprintln!("{name} {budget}: {} of {:.1} s, worst {:.3} {}", found.windows.len(), found.window_ns as f64 / 1e9, found.worst_error, found.worst_in);
        }
    }
}
