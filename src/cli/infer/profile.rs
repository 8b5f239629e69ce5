//! Where the time of a model went, for `--profile`.

use crate::stack::model::Model;

/// Prints seconds and GFLOP/s of each part, and what share that is of what this machine multiplies.
pub fn show(model: &Model) {
    let Some(shares) = model.profile() else {
        eprintln!("No profile: only the CPU keeps one.");
        return;
    };
    let ceiling = model.product_rate().unwrap_or(f64::NAN);
    eprintln!("{:<28} {:>9} {:>9} {:>8}", "part", "seconds", "GFLOP/s", "share");
    let (mut seconds, mut operations) = (0.0, 0.0);
    for (part, share) in shares {
        seconds += share.seconds;
        operations += share.operations;
        eprintln!("{}", line(part, share.seconds, share.operations, ceiling));
    }
    eprintln!("{}", line("all parts", seconds, operations, ceiling));
    eprintln!("This machine multiplies large matrices at {:.0} GFLOP/s.", ceiling * 1e-9);
}

fn line(part: &str, seconds: f64, operations: f64, ceiling: f64) -> String {
    if operations == 0.0 {
        return format!("{part:<28} {seconds:>9.3}");
    }
    let rate = operations / seconds;
    format!("{part:<28} {seconds:>9.3} {:>9.1} {:>7.0}%", rate * 1e-9, 100.0 * rate / ceiling)
}
