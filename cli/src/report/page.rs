//! The page around the drawings: headings, verdict, numbers, colours.

use std::fmt::Write;

use super::text::escape;
use super::{Report, Row, flash_map, timeline, wear};

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let title = escape(&report.title);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>{}</style>\n</head>\n<body>\n<main>\n",
        include_str!("report.css")
    );
    let _ = write!(out, "<header>\n<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n", escape(&report.subtitle));
    verdict(&mut out, report);
    out.push_str("</header>\n");
    headlines(&mut out, &report.rows);
    timeline::section(&mut out, &report.timeline);
    flash_map::section(&mut out, &report.flash);
    wear::section(&mut out, &report.flash);
    numbers(&mut out, &report.rows);
    parameters(&mut out, &report.parameters);
    let _ = write!(
        out,
        "<footer>Made by evenkeel {}. This page is one file and refers to no other.</footer>\n</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn verdict(out: &mut String, report: &Report) {
    let (class, mark, word) =
        if report.verdict.passed { ("pass", "\u{2713}", "Passed") } else { ("fail", "\u{2717}", "Failed") };
    let _ = writeln!(
        out,
        "<p class=\"verdict {class}\" role=\"status\"><span class=\"mark\" aria-hidden=\"true\">{mark}</span>\
         <span><strong>{word}.</strong> {}</span></p>",
        escape(&report.verdict.sentence)
    );
}

fn headlines(out: &mut String, rows: &[Row]) {
    if !rows.iter().any(|row| row.headline) {
        return;
    }
    out.push_str("<section aria-label=\"Headline numbers\">\n<dl class=\"tiles\">\n");
    for row in rows.iter().filter(|row| row.headline) {
        let _ = writeln!(
            out,
            "<div><dt>{}</dt><dd class=\"value\">{}</dd><dd class=\"note\">{}</dd></div>",
            escape(&row.label),
            escape(&row.value),
            escape(&row.explanation)
        );
    }
    out.push_str("</dl>\n</section>\n");
}

fn numbers(out: &mut String, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    out.push_str(
        "<section aria-labelledby=\"numbers\">\n<h2 id=\"numbers\">The numbers</h2>\n<div class=\"scroll\">\n<table>\n\
         <thead><tr><th scope=\"col\">Measured</th><th scope=\"col\" class=\"number\">Value</th>\
         <th scope=\"col\">What it means</th></tr></thead>\n<tbody>\n",
    );
    for row in rows {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td></tr>",
            escape(&row.label),
            escape(&row.value),
            escape(&row.explanation)
        );
    }
    out.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn parameters(out: &mut String, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"run\">\n<h2 id=\"run\">The run</h2>\n<dl class=\"parameters\">\n");
    for (name, value) in parameters {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }
    out.push_str("</dl>\n</section>\n");
}
