//! The wear of the flash: how often each sector has been erased.

use std::fmt::Write;

use super::FlashMap;
use super::text::{escape, grouped};

/// The ends and the middle of a scale that stays in order for every kind of colour vision, and in grey.
const SCALE: [(f64, [f64; 3]); 3] =
    [(0.0, [52.0, 98.0, 153.0]), (0.5, [150.0, 152.0, 148.0]), (1.0, [254.0, 232.0, 56.0])];

pub(super) fn section(out: &mut String, flash: &FlashMap) {
    out.push_str("<section aria-labelledby=\"wear\">\n<h2 id=\"wear\">Wear</h2>\n");
    let erases: Vec<u32> = flash.sectors.iter().map(|sector| sector.erases).collect();
    let (Some(&least), Some(&most)) = (erases.iter().min(), erases.iter().max()) else {
        out.push_str("<p class=\"caption\">There is no sector to show.</p>\n</section>\n");
        return;
    };
    let total: u64 = erases.iter().map(|count| u64::from(*count)).sum();
    let mean = total as f64 / erases.len() as f64;
    let summary = format!(
        "{} erases in all. A sector was erased {least} to {most} times, {mean:.1} on average: a spread of {}.",
        grouped(total),
        most - least
    );
    let _ = writeln!(out, "<p class=\"caption\">{summary}</p>");
    cells(out, &erases, least, most, &summary);
    scale(out, least, most);
    out.push_str("</section>\n");
}

fn cells(out: &mut String, erases: &[u32], least: u32, most: u32, label: &str) {
    // About four times as wide as high, at most 64 cells in a row.
    let columns = ((erases.len() as f64 * 4.0).sqrt().ceil() as usize).clamp(1, 64);
    let columns = if erases.len() >= 16 { columns.next_multiple_of(16).min(64) } else { columns.min(erases.len()) };
    let width = (1200.0 / columns as f64).min(120.0);
    let height = (width * 0.55).max(12.0);
    let rows = erases.len().div_ceil(columns);
    let _ = writeln!(
        out,
        "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 1200 {:.0}\" role=\"img\" aria-label=\"{}\">",
        height * rows as f64,
        escape(label)
    );
    for (index, count) in erases.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * width + 1.0, (index / columns) as f64 * height + 1.0);
        let share = share(*count, least, most);
        let (inner, tall) = (width - 2.0, height - 2.0);
        let _ = write!(
            out,
            "<g><title>Sector {index}: erased {count} times</title>\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{inner:.1}\" height=\"{tall:.1}\" rx=\"2\" fill=\"{}\"/>",
            colour(share)
        );
        if width >= 30.0 {
            let ink = if share > 0.45 { "#10151a" } else { "#ffffff" };
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" style=\"fill:{ink}\">{count}</text>",
                x + inner / 2.0,
                y + tall / 2.0 + 4.0
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg></div>\n");
}

fn scale(out: &mut String, least: u32, most: u32) {
    out.push_str("<ul class=\"legend\">\n");
    let steps = if most == least { 1 } else { (most - least + 1).min(5) };
    for step in 0..steps {
        let count = if steps == 1 { least } else { least + (most - least) * step / (steps - 1) };
        let _ = writeln!(
            out,
            "<li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect width=\"18\" height=\"14\" fill=\"{}\"/></svg>{count} \
             {}</li>",
            colour(share(count, least, most)),
            if count == 1 { "erase" } else { "erases" }
        );
    }
    out.push_str("</ul>\n");
}

/// Where on the scale a count lies. The scale spans at least an eighth of the highest count, so that a small
/// spread looks like one.
fn share(count: u32, least: u32, most: u32) -> f64 {
    let span = (most - least).max(most / 8).max(4);
    f64::from(count - least) / f64::from(span)
}

fn colour(share: f64) -> String {
    let (low, high) = if share < 0.5 { (SCALE[0], SCALE[1]) } else { (SCALE[1], SCALE[2]) };
    let part = (share - low.0) / (high.0 - low.0);
    let [red, green, blue] =
        [0, 1, 2].map(|index| (low.1[index] + (high.1[index] - low.1[index]) * part).round() as u8);
    format!("#{red:02x}{green:02x}{blue:02x}")
}
