//! The map of the flash: what lies where.

use std::fmt::Write;

use super::text::{escape, grouped};
use super::{Class, FlashMap, Role, Sector, Segment};

/// Up to so many sectors are drawn as bars with their contents, more as cells.
const BARS_AT_MOST: usize = 256;
const BAR: f64 = 226.0;
const BAR_HEIGHT: f64 = 15.0;
const COLUMN: f64 = 300.0;
const ROW: f64 = 23.0;

pub(super) fn section(out: &mut String, flash: &FlashMap) {
    out.push_str("<section aria-labelledby=\"flash\">\n<h2 id=\"flash\">The flash</h2>\n");
    if flash.sectors.is_empty() {
        out.push_str("<p class=\"caption\">There is no sector to show.</p>\n</section>\n");
        return;
    }
    let summary = summary(flash);
    let _ = writeln!(out, "<p class=\"caption\">{summary}</p>");
    if flash.sectors.len() <= BARS_AT_MOST {
        bars(out, flash, &summary);
    } else {
        cells(out, flash, &summary);
    }
    legend(out, flash);
    if flash.sectors.len() <= BARS_AT_MOST {
        table(out, flash);
    }
    out.push_str("</section>\n");
}

/// The map in a sentence or two.
fn summary(flash: &FlashMap) -> String {
    let used: u64 = flash.sectors.iter().map(|sector| u64::from(used_bytes(sector))).sum();
    let all = u64::from(flash.sector_bytes) * flash.sectors.len() as u64;
    let percent = if all == 0 { 0.0 } else { used as f64 * 100.0 / all as f64 };
    let mut text = format!(
        "{} sectors of {} bytes, {} of {} bytes in use ({percent:.0} %).",
        grouped(flash.sectors.len() as u64),
        grouped(u64::from(flash.sector_bytes)),
        grouped(used),
        grouped(all)
    );
    let at = |role| flash.sectors.iter().position(|sector| sector.role == role);
    if let Some(head) = at(Role::Head) {
        let _ = write!(text, " The log is being written in sector {head}");
        match at(Role::Oldest) {
            Some(oldest) => {
                let _ = write!(text, "; its oldest records are in sector {oldest}.");
            }
            None => text.push('.'),
        }
    }
    text.push_str(" Point at a bar for what it holds.");
    text
}

fn used_bytes(sector: &Sector) -> u32 {
    let used = sector.segments.iter().filter(|segment| segment.class != Class::Free);
    used.fold(0, |bytes, segment| bytes.saturating_add(segment.len))
}

/// How many bytes each class takes in a sector, in the order in which they first appear; without what is free.
fn bytes_by_class(sector: &Sector) -> Vec<(Class, u32)> {
    let mut classes: Vec<(Class, u32)> = Vec::new();
    for segment in sector.segments.iter().filter(|segment| segment.class != Class::Free) {
        match classes.iter_mut().find(|(class, _)| *class == segment.class) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(segment.len),
            None => classes.push((segment.class, segment.len)),
        }
    }
    classes
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Free => "free",
        Role::Prepared => "erased ahead",
        Role::Kept => "kept",
        Role::Oldest => "oldest",
        Role::Head => "being written",
        Role::Bad => "no longer erases",
    }
}

fn class_name(flash: &FlashMap, class: Class) -> String {
    match class {
        Class::Header => "sector header and seal".into(),
        Class::Event(kind) => match flash.kinds.iter().find(|(known, _)| *known == kind) {
            Some((_, name)) => format!("events of {name}"),
            None => format!("events of kind {kind}"),
        },
        Class::Snapshot => "snapshots".into(),
        Class::Tracker => "trackers and notes of the log".into(),
        Class::Torn => "torn by a power cut".into(),
        Class::Free => "free".into(),
    }
}

fn class_style(flash: &FlashMap, class: Class) -> String {
    match class {
        Class::Header => "c-header".into(),
        Class::Event(kind) => {
            let place = flash.kinds.iter().position(|(known, _)| *known == kind).unwrap_or(usize::from(kind));
            format!("c-kind{}", place % 5)
        }
        Class::Snapshot => "c-snapshot".into(),
        Class::Tracker => "c-tracker".into(),
        Class::Torn => "c-torn".into(),
        Class::Free => "c-free".into(),
    }
}

/// Neighbours of one class as one, with how many they are: a drawing need not tell records apart.
fn runs(sector: &Sector) -> Vec<(Segment, u32)> {
    let mut runs: Vec<(Segment, u32)> = Vec::new();
    for segment in sector.segments.iter().filter(|segment| segment.len > 0 && segment.class != Class::Free) {
        match runs.last_mut() {
            Some((last, count))
                if last.class == segment.class && last.start.checked_add(last.len) == Some(segment.start) =>
            {
                last.len = last.len.saturating_add(segment.len);
                *count += 1;
            }
            _ => runs.push((*segment, 1)),
        }
    }
    runs
}

fn open_svg(out: &mut String, width: f64, height: f64, label: &str) {
    let _ = write!(
        out,
        "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n\
         <defs><pattern id=\"torn\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"c-torn-ground\" width=\"5\" height=\"5\"/><line class=\"c-torn-line\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\"/>\
         </pattern></defs>\n",
        escape(label)
    );
}

fn bars(out: &mut String, flash: &FlashMap, label: &str) {
    let columns = flash.sectors.len().clamp(1, 4);
    let rows = flash.sectors.len().div_ceil(columns);
    open_svg(out, COLUMN * 4.0, ROW * rows as f64 + 6.0, label);
    for (index, sector) in flash.sectors.iter().enumerate() {
        let (x, y) = ((index / rows) as f64 * COLUMN, (index % rows) as f64 * ROW + 4.0);
        bar(out, flash, index, sector, x, y);
    }
    out.push_str("</svg></div>\n");
}

fn bar(out: &mut String, flash: &FlashMap, index: usize, sector: &Sector, x: f64, y: f64) {
    let scale = BAR / f64::from(flash.sector_bytes.max(1));
    let left = x + 58.0;
    let sequence = sector.sequence.map_or("not in the log".into(), |sequence| format!("sequence {sequence}"));
    let used = used_bytes(sector);
    let free = flash.sector_bytes.saturating_sub(used);
    let _ = write!(
        out,
        "<g><title>Sector {index}: {}, {sequence}, {used} bytes used, {free} free, erased {} times</title>\n\
         <text class=\"{}\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect class=\"c-free\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{BAR:.1}\" height=\"{BAR_HEIGHT}\"/></g>\n",
        role_name(sector.role),
        sector.erases,
        if matches!(sector.role, Role::Head | Role::Oldest) { "strong" } else { "" },
        left - 7.0,
        y + 12.0,
        sector.sequence.map_or("\u{2013}".into(), |sequence| format!("#{sequence}")),
    );
    for (run, count) in runs(sector) {
        let from = left + f64::from(run.start) * scale;
        let width = (f64::from(run.len) * scale).max(0.7).min(left + BAR - from).max(0.0);
        let records = if count == 1 { String::new() } else { format!(", {} records", grouped(u64::from(count))) };
        let _ = writeln!(
            out,
            "<rect class=\"{}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\"><title>Sector \
             {index}, bytes {} to {}: {}{records}</title></rect>",
            class_style(flash, run.class),
            run.start,
            run.start.saturating_add(run.len),
            escape(&class_name(flash, run.class))
        );
    }
    let frame = match sector.role {
        Role::Head => "frame-head",
        Role::Oldest => "frame-oldest",
        _ => "frame",
    };
    let _ = writeln!(
        out,
        "<rect class=\"{frame}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{BAR:.1}\" height=\"{BAR_HEIGHT}\"/>"
    );
}

/// Many sectors: each a cell that fills from below.
fn cells(out: &mut String, flash: &FlashMap, label: &str) {
    let columns = 64;
    let side = 1200.0 / columns as f64;
    let rows = flash.sectors.len().div_ceil(columns);
    open_svg(out, 1200.0, side * rows as f64, label);
    for (index, sector) in flash.sectors.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * side + 1.0, (index / columns) as f64 * side + 1.0);
        let (used, inner) = (used_bytes(sector), side - 2.0);
        let full = inner * f64::from(used) / f64::from(flash.sector_bytes.max(1));
        let most = bytes_by_class(sector).into_iter().max_by_key(|(_, bytes)| *bytes);
        let style = most.map_or("c-free".into(), |(class, _)| class_style(flash, class));
        let _ = write!(
            out,
            "<g><title>Sector {index}: {}, {used} bytes used, erased {} times</title>\
             <rect class=\"c-free\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{inner:.1}\" height=\"{inner:.1}\"/>",
            role_name(sector.role),
            sector.erases
        );
        if used > 0 {
            let top = y + inner - full;
            let _ = write!(
                out,
                "<rect class=\"{style}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{inner:.1}\" height=\"{full:.1}\"/>"
            );
        }
        if matches!(sector.role, Role::Head | Role::Oldest) {
            let frame = if sector.role == Role::Head { "frame-head" } else { "frame-oldest" };
            let _ = write!(
                out,
                "<rect class=\"{frame}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{inner:.1}\" height=\"{inner:.1}\"/>"
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg></div>\n");
}

fn legend(out: &mut String, flash: &FlashMap) {
    let mut classes = vec![Class::Header];
    classes.extend(flash.kinds.iter().map(|(kind, _)| Class::Event(*kind)));
    classes.extend([Class::Snapshot, Class::Tracker, Class::Torn, Class::Free]);
    out.push_str("<ul class=\"legend\">\n");
    for class in classes {
        let _ = writeln!(
            out,
            "<li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect class=\"{}\" width=\"18\" height=\"14\"/></svg>{}</li>",
            class_style(flash, class),
            escape(&class_name(flash, class))
        );
    }
    for (frame, name) in [("frame-head", "being written"), ("frame-oldest", "oldest, next to be reused")] {
        let _ = writeln!(
            out,
            "<li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect class=\"{frame}\" x=\"1\" y=\"1\" width=\"16\" \
             height=\"12\"/></svg>{name}</li>"
        );
    }
    out.push_str("</ul>\n");
}

fn table(out: &mut String, flash: &FlashMap) {
    out.push_str(
        "<details><summary>The same as a table</summary>\n<div class=\"scroll\"><table>\n<thead><tr>\
         <th scope=\"col\" class=\"number\">Sector</th><th scope=\"col\" class=\"number\">Sequence</th>\
         <th scope=\"col\">State</th><th scope=\"col\" class=\"number\">Bytes used</th>\
         <th scope=\"col\" class=\"number\">Erased</th><th scope=\"col\">Contents</th></tr></thead>\n<tbody>\n",
    );
    for (index, sector) in flash.sectors.iter().enumerate() {
        let classes = bytes_by_class(sector);
        let contents: Vec<_> =
            classes.iter().map(|(class, bytes)| format!("{} {bytes}", class_name(flash, *class))).collect();
        let _ = writeln!(
            out,
            "<tr><td class=\"number\">{index}</td><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td>{}</td></tr>",
            sector.sequence.map_or("\u{2013}".into(), |sequence| sequence.to_string()),
            role_name(sector.role),
            used_bytes(sector),
            sector.erases,
            escape(&contents.join(", "))
        );
    }
    out.push_str("</tbody>\n</table></div></details>\n");
}
