//! The plots of a report as SVG, coloured by the classes of the page that holds them.

use std::collections::HashSet;
use std::fmt::Write;

use crate::domain::evaluation::{DirectedSet, Evaluation, GeneChange};
use crate::domain::terms::Direction;

use super::Report;
use super::view::readable;
use crate::orchestrate::numbers::{fold_change, p_value};

/// Text made safe for the inside of an SVG element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A straight line from data to pixels.
#[derive(Clone, Copy)]
struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let share = (value - self.from.0) / (self.from.1 - self.from.0);
        self.to.0 + share * (self.to.1 - self.to.0)
    }
}

/// Steps of 1, 2 or 5 times a power of ten that cut a range into a handful of parts.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let first = (from / step).ceil() as i64;
    let last = (to / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned).replace('-', "\u{2212}")
}

const WIDTH: f64 = 720.0;

/// Each gene by fold change and adjusted p-value; the clearest are named.
pub fn volcano(evaluation: &Evaluation) -> String {
    const HEIGHT: f64 = 440.0;
    const FOLD_LIMIT: f64 = 10.0;
    const FLOOR: f64 = 1e-300;
    let significance = |change: &GeneChange| -change.adjusted_p_value.max(FLOOR).log10();
    let changed = || evaluation.changes.iter().filter(|change| change.differential.is_some());
    let widest = changed().map(|c| c.log2_fold_change.abs().min(FOLD_LIMIT)).fold(2.0, f64::max) * 1.05;
    let highest = evaluation.changes.iter().map(significance).fold(2.0, f64::max) * 1.08;
    let x = Scale { from: (-widest, widest), to: (52.0, WIDTH - 16.0) };
    let y = Scale { from: (0.0, highest), to: (HEIGHT - 44.0, 12.0) };
    let place =
        |change: &GeneChange| (x.at(change.log2_fold_change.clamp(-widest, widest)), y.at(significance(change)));

    let mut svg = open(HEIGHT, "Volcano plot: log2 fold change against adjusted p-value of every gene");
    axes(&mut svg, x, y, "log2 fold change", "−log10 adjusted p");
    let limit = y.at(-evaluation.criteria.max_adjusted_p_value.log10());
    guide(&mut svg, (x.to.0, limit), (x.to.1, limit));
    for fold in [-1.0, 1.0].map(|sign| x.at(sign * evaluation.criteria.min_log2_fold_change)) {
        guide(&mut svg, (fold, y.to.0), (fold, y.to.1));
    }

    // Genes that do not change lie on each other in the thousands: one dot per place will do.
    let mut seen = HashSet::new();
    svg += "<path class=\"dots quiet\" d=\"";
    for change in evaluation.changes.iter().filter(|change| change.differential.is_none()) {
        let (px, py) = place(change);
        if seen.insert(((px * 0.7) as i64, (py * 0.7) as i64)) {
            let _ = write!(svg, "M{px:.0} {py:.0}h0");
        }
    }
    svg += "\"/>";
    for change in changed() {
        let (px, py) = place(change);
        let class = if change.differential == Some(Direction::Up) { "up" } else { "down" };
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"><title>{}: log2 fold change {}, adjusted p {}</title></circle>",
            escape(change.symbol()),
            escape(&fold_change(change.log2_fold_change)),
            escape(&p_value(change.adjusted_p_value))
        );
    }
    let named = evaluation.up().take(12).chain(evaluation.down().take(8));
    labels(&mut svg, named.map(|change| (change, place(change))).collect());
    svg += "</svg>";
    svg
}

/// Names beside their dots, left out where they would cover another name.
fn labels(svg: &mut String, genes: Vec<(&GeneChange, (f64, f64))>) {
    let mut taken: Vec<[f64; 4]> = Vec::new();
    for (change, (x, y)) in genes {
        let width = 6.6 * change.symbol().chars().count() as f64 + 2.0;
        let right = [x + 6.0, y - 7.0, x + 6.0 + width, y + 7.0];
        let left = [x - 6.0 - width, y - 7.0, x - 6.0, y + 7.0];
        let rising = change.differential == Some(Direction::Up);
        let sides = if rising { [right, left] } else { [left, right] };
        let free = |spot: &[f64; 4]| {
            spot[0] > 48.0
                && spot[2] < WIDTH - 4.0
                && spot[1] > 0.0
                && taken.iter().all(|t| spot[2] < t[0] || t[2] < spot[0] || spot[3] < t[1] || t[3] < spot[1])
        };
        if let Some(spot) = sides.into_iter().find(free) {
            let (anchor, at) = if spot[0] > x { ("start", spot[0]) } else { ("end", spot[2]) };
            let _ = write!(
                svg,
                "<text class=\"name\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                y + 4.0,
                escape(change.symbol())
            );
            taken.push(spot);
        }
    }
}

/// The most enriched sets, a bar for each.
pub fn pathways(sets: &[DirectedSet]) -> String {
    const ROW: f64 = 38.0;
    let shown = &sets[..sets.len().min(15)];
    let significance = |set: &DirectedSet| -set.set.adjusted_p_value.max(1e-300).log10();
    let longest = shown.iter().map(significance).fold(1.0, f64::max);
    let x = Scale { from: (0.0, longest), to: (0.0, WIDTH - 150.0) };
    let height = ROW * shown.len() as f64 + 4.0;
    let mut svg = open(height, "Enriched gene sets: minus log10 of the adjusted p-value");
    for (row, set) in shown.iter().enumerate() {
        let top = ROW * row as f64;
        let class = if set.direction == Direction::Down { "down" } else { "up" };
        let length = x.at(significance(set)).max(2.0);
        let _ = write!(
            svg,
            "<text class=\"set\" x=\"0\" y=\"{:.1}\">{} <tspan class=\"soft\">{}</tspan></text>\
             <rect class=\"track\" x=\"0\" y=\"{bar:.1}\" width=\"{:.1}\" height=\"10\" rx=\"2\"/>\
             <rect class=\"{class}\" x=\"0\" y=\"{bar:.1}\" width=\"{length:.1}\" height=\"10\" rx=\"2\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{} of {}, p {}</text>",
            top + 13.0,
            escape(&readable(&set.set.name)),
            escape(&set.set.collection),
            x.to.1,
            x.to.1 + 10.0,
            top + 28.0,
            set.set.overlap,
            set.set.set_size,
            escape(&p_value(set.set.adjusted_p_value)),
            bar = top + 19.0,
        );
    }
    svg += "</svg>";
    svg
}

/// Composite scores by iteration: the answer, the baseline, and the threshold to reach.
pub fn iterations(report: &Report) -> String {
    const HEIGHT: f64 = 240.0;
    let n = report.iterations.len() as f64;
    let x = Scale { from: (0.5, n + 0.5), to: (52.0, WIDTH - 16.0) };
    let y = Scale { from: (1.0, 10.0), to: (HEIGHT - 44.0, 12.0) };
    let mut svg = open(HEIGHT, "Composite score of each iteration");
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{0:.1}\" y1=\"{2:.1}\" x2=\"{1:.1}\" y2=\"{2:.1}\"/>",
        x.to.0, x.to.1, y.to.0
    );
    for tick in [1.0, 4.0, 7.0, 10.0] {
        tick_left(&mut svg, x.to, y.at(tick), &number(tick));
    }
    let threshold = f64::from(report.settings.score_threshold);
    guide(&mut svg, (x.to.0, y.at(threshold)), (x.to.1, y.at(threshold)));
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">threshold</text>",
        x.to.1,
        y.at(threshold) - 5.0
    );
    let points = |of: &dyn Fn(&crate::domain::run::Iteration) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |it: &crate::domain::run::Iteration| Some((x.at(f64::from(it.number)), y.at(of(it)?)));
        report.iterations.iter().filter_map(point).collect()
    };
    let composite = |grounding: &crate::domain::score::Grounding| Some(f64::from(grounding.composite?.get()) / 100.0);
    for (class, points) in
        [("baseline", points(&|it| composite(&it.baseline))), ("answer", points(&|it| composite(&it.grounding)))]
    {
        let line: Vec<String> = points.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
        let _ = write!(svg, "<polyline class=\"line {class}\" points=\"{}\"/>", line.join(" "));
        for (px, py) in points {
            let _ = write!(svg, "<circle class=\"{class}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4.5\"/>");
        }
    }
    for iteration in &report.iterations {
        let delivered = iteration.number == report.result.best_iteration;
        let _ = write!(
            svg,
            "<text class=\"tick{}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}{}</text>",
            if delivered { " strong" } else { "" },
            x.at(f64::from(iteration.number)),
            y.to.0 + 18.0,
            iteration.number,
            if delivered { " (delivered)" } else { "" }
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">iteration</text></svg>",
        (x.to.0 + x.to.1) / 2.0,
        HEIGHT - 6.0
    );
    svg
}

fn open(height: f64, title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>", escape(title))
}

fn axes(svg: &mut String, x: Scale, y: Scale, x_title: &str, y_title: &str) {
    for tick in ticks(y.from.0, y.from.1) {
        tick_left(svg, x.to, y.at(tick), &number(tick));
    }
    for tick in ticks(x.from.0, x.from.1) {
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x.at(tick),
            y.to.0 + 18.0,
            number(tick)
        );
    }
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{0:.1}\" y1=\"{2:.1}\" x2=\"{1:.1}\" y2=\"{2:.1}\"/>\
         <text class=\"tick\" x=\"{3:.1}\" y=\"{4:.1}\" text-anchor=\"middle\">{x_title}</text>\
         <text class=\"tick\" transform=\"translate(12 {5:.1}) rotate(-90)\" text-anchor=\"middle\">{y_title}</text>",
        x.to.0,
        x.to.1,
        y.to.0,
        (x.to.0 + x.to.1) / 2.0,
        y.to.0 + 38.0,
        (y.to.0 + y.to.1) / 2.0,
    );
}

fn tick_left(svg: &mut String, x: (f64, f64), y: f64, text: &str) {
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\
         <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
        x.0,
        x.1,
        x.0 - 8.0,
        y + 4.0
    );
}

fn guide(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        svg,
        "<line class=\"guide\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(ticks(-4.2, 4.2), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        assert_eq!(ticks(0.0, 320.0), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(ticks(0.0, 2.1), [0.0, 0.5, 1.0, 1.5, 2.0]);
    }

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escape("</title><script>\"&"), "&lt;/title&gt;&lt;script&gt;&quot;&amp;");
    }
}
