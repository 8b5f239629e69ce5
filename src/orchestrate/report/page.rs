//! Sets the words of a report: as Markdown, and as one page that needs nothing from anywhere.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};

use super::Report;
use super::plots;
use super::view::View;

const MARKDOWN: &str = include_str!("../../../assets/report.md");
const PAGE: &str = include_str!("../../../assets/report.html");

/// `report.md`. Text that comes from outside cannot become markup.
pub fn markdown(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = environment();
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    environment.set_formatter(|out, _, value| {
        match value.as_str() {
            Some(text) if !value.is_safe() => out.write_str(&escape_markdown(text))?,
            _ => write!(out, "{value}")?,
        }
        Ok(())
    });
    environment.add_template("report.md", MARKDOWN)?;
    environment.get_template("report.md")?.render(context! { r => Serde(View::new(report)) })
}

/// `report.html`: no scripts, no fonts, no images from elsewhere. Everything is escaped.
pub fn html(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = environment();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("report.html", PAGE)?;
    let plots = context! {
        volcano => plots::volcano(&report.evaluation),
        pathways => plots::pathways(&report.result.answer.enriched_pathways),
        iterations => plots::iterations(report),
    };
    environment.get_template("report.html")?.render(context! { r => Serde(View::new(report)), plots })
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters do not clash"));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
}

/// Keeps text from being read as Markdown or HTML, and on one line.
fn escape_markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            '\n' | '\r' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_markdown() {
        assert_eq!(escape_markdown("a|b <i> `x`\n# [y](z)"), "a\\|b \\<i\\> \\`x\\` \\# \\[y\\](z)");
    }
}
