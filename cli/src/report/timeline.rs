//! The temperatures over time, with what happened when.

use std::fmt::Write;

use super::text::{Date, celsius, escape, grouped, moment};
use super::{Mark, MarkKind, Timeline};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const PLOT: f64 = 300.0;
const LANE: f64 = 20.0;
/// One column of the drawing: all readings that fall into it are one vertical stroke.
const COLUMNS: usize = (WIDTH - LEFT - RIGHT) as usize;
/// A longer silence than this interrupts the line.
const SILENCE_HOURS: u32 = 4;

const LANES: [(MarkKind, &str, &str); 4] = [
    (MarkKind::Alarm, "m-alarm", "alarms"),
    (MarkKind::HandOver, "m-handover", "hand-overs"),
    (MarkKind::PowerCut, "m-powercut", "power cuts"),
    (MarkKind::Sync, "m-sync", "syncs"),
];

pub(super) fn section(out: &mut String, timeline: &Timeline) {
    out.push_str("<section aria-labelledby=\"time\">\n<h2 id=\"time\">Temperature of the cargo</h2>\n");
    if timeline.readings.is_empty() {
        out.push_str("<p class=\"caption\">There is no reading to show.</p>\n</section>\n");
        return;
    }
    let summary = summary(timeline);
    let _ = writeln!(out, "<p class=\"caption\">{}</p>", escape(&summary));
    drawing(out, timeline, &summary);
    legend(out);
    excursions(out, timeline);
    out.push_str("</section>\n");
}

fn summary(timeline: &Timeline) -> String {
    let temperatures = timeline.readings.iter().map(|(_, temperature)| *temperature);
    let (least, most) = (temperatures.clone().min().unwrap_or(0), temperatures.max().unwrap_or(0));
    let hours = |index: Option<&(u32, i16)>| index.map_or(0, |(hour, _)| *hour);
    let mut text = format!(
        "{} readings from {} to {}, between {} and {}; the limits are {} and {}. {} excursions",
        grouped(timeline.readings.len() as u64),
        moment(timeline.first_year, hours(timeline.readings.first())),
        moment(timeline.first_year, hours(timeline.readings.last())),
        celsius(least),
        celsius(most),
        celsius(timeline.limits.0),
        celsius(timeline.limits.1),
        grouped(timeline.excursions.len() as u64),
    );
    for (kind, _, name) in LANES {
        let count = timeline.marks.iter().filter(|mark| mark.kind == kind).count();
        let _ = write!(text, ", {} {name}", grouped(count as u64));
    }
    text.push('.');
    text
}

/// Where hours and temperatures come to lie.
struct Frame {
    first: u32,
    hours: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn of(timeline: &Timeline) -> Self {
        let first = timeline.readings.first().map_or(0, |(hour, _)| *hour);
        let last = timeline.readings.last().map_or(0, |(hour, _)| *hour);
        let temperatures = timeline.readings.iter().map(|(_, temperature)| *temperature);
        let temperatures = temperatures.chain([timeline.limits.0, timeline.limits.1]);
        let least = f64::from(temperatures.clone().min().unwrap_or(0)) / 100.0;
        let most = f64::from(temperatures.max().unwrap_or(0)) / 100.0;
        Self { first, hours: f64::from(last - first).max(1.0), low: (least - 1.0).floor(), high: (most + 1.0).ceil() }
    }

    fn share(&self, hour: u32) -> f64 {
        ((f64::from(hour) - f64::from(self.first)) / self.hours).clamp(0.0, 1.0)
    }

    fn x(&self, hour: u32) -> f64 {
        LEFT + self.share(hour) * COLUMNS as f64
    }

    fn y(&self, celsius: f64) -> f64 {
        TOP + (self.high - celsius) / (self.high - self.low) * PLOT
    }

    fn y_of(&self, hundredths: i16) -> f64 {
        self.y(f64::from(hundredths) / 100.0)
    }
}

fn drawing(out: &mut String, timeline: &Timeline, label: &str) {
    let frame = Frame::of(timeline);
    let lanes_top = TOP + PLOT + 10.0;
    let height = lanes_top + LANE * LANES.len() as f64 + 40.0;
    let (low, high) = (frame.y_of(timeline.limits.0), frame.y_of(timeline.limits.1));
    let right = WIDTH - RIGHT;
    let _ = write!(
        out,
        "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n\
         <defs><clipPath id=\"outside\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{COLUMNS}\" height=\"{:.1}\"/>\
         <rect x=\"{LEFT}\" y=\"{low:.1}\" width=\"{COLUMNS}\" height=\"{:.1}\"/></clipPath></defs>\n",
        escape(label),
        (high - TOP).max(0.0),
        (TOP + PLOT - low).max(0.0)
    );
    temperature_axis(out, &frame);
    time_axis(out, &frame, timeline.first_year, lanes_top + LANE * LANES.len() as f64);
    let _ = write!(
        out,
        "<rect class=\"band\" x=\"{LEFT}\" y=\"{high:.1}\" width=\"{COLUMNS}\" height=\"{:.1}\"><title>The limits: {} to \
         {}</title></rect>\n<line class=\"limit\" x1=\"{LEFT}\" y1=\"{high:.1}\" x2=\"{right}\" y2=\"{high:.1}\"/>\n\
         <line class=\"limit\" x1=\"{LEFT}\" y1=\"{low:.1}\" x2=\"{right}\" y2=\"{low:.1}\"/>\n",
        (low - high).max(0.0),
        celsius(timeline.limits.0),
        celsius(timeline.limits.1)
    );
    for (from, to) in &timeline.excursions {
        let (x, width) = (frame.x(*from), (frame.x(*to) - frame.x(*from)).max(1.5));
        let _ = writeln!(
            out,
            "<rect class=\"excursion\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{PLOT}\"><title>Outside the \
             limits from {} for {} hours</title></rect>",
            moment(timeline.first_year, *from),
            to.saturating_sub(*from)
        );
    }
    let path = trace(&frame, &timeline.readings);
    let _ = write!(
        out,
        "<path class=\"trace\" d=\"{path}\"/>\n<path class=\"trace-outside\" clip-path=\"url(#outside)\" d=\"{path}\"/>\n"
    );
    for (index, (kind, class, name)) in LANES.into_iter().enumerate() {
        let y = lanes_top + LANE * index as f64;
        let _ = write!(
            out,
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{COLUMNS}\" height=\"{:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\n",
            LANE - 4.0,
            LEFT - 8.0,
            y + 12.5
        );
        let marks = timeline.marks.iter().filter(|mark| mark.kind == kind);
        lane(out, &frame, timeline.first_year, marks, class, name, y);
    }
    out.push_str("</svg></div>\n");
}

/// One stroke for each column of the drawing, from its lowest to its highest reading, joined to the next.
fn trace(frame: &Frame, readings: &[(u32, i16)]) -> String {
    let mut path = String::new();
    let mut rest = readings;
    let mut last_hour = None;
    while let Some((first, _)) = rest.first() {
        let column = (frame.share(*first) * COLUMNS as f64) as usize;
        let inside = |(hour, _): &&(u32, i16)| (frame.share(*hour) * COLUMNS as f64) as usize == column;
        let count = rest.iter().take_while(inside).count().max(1);
        let (here, after) = rest.split_at(count.min(rest.len()));
        let least = here.iter().map(|(_, temperature)| *temperature).min().unwrap_or(0);
        let most = here.iter().map(|(_, temperature)| *temperature).max().unwrap_or(0);
        let joined = last_hour.is_some_and(|last: u32| first.saturating_sub(last) <= SILENCE_HOURS);
        let x = frame.x(*first);
        let _ = write!(path, "{}{x:.1} {:.1}", if joined { "L" } else { "M" }, frame.y_of(least));
        // A column of one reading still shows as a point.
        let top = if least == most { frame.y_of(most) - 0.1 } else { frame.y_of(most) };
        let _ = write!(path, "V{top:.1}");
        last_hour = here.last().map(|(hour, _)| *hour);
        rest = after;
    }
    path
}

fn temperature_axis(out: &mut String, frame: &Frame) {
    let span = frame.high - frame.low;
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|step| span / step <= 9.0).unwrap_or(100.0);
    let mut at = (frame.low / step).ceil() * step;
    while at <= frame.high {
        let y = frame.y(at);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} °C</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            format!("{at:.0}").replace('-', "\u{2212}")
        );
        at += step;
    }
}

/// The hours at which the axis has a tick, each with one or two lines of text.
fn ticks(frame: &Frame, first_year: i32) -> Vec<(u32, String, Option<String>)> {
    let last = frame.first.saturating_add(frame.hours as u32);
    let mut ticks: Vec<(u32, String, Option<String>)> = Vec::new();
    if frame.hours <= 24.0 * 62.0 {
        let days = (frame.hours / 24.0 / 12.0).ceil().max(1.0) as u32;
        let mut hour = frame.first.next_multiple_of(24);
        while hour <= last {
            let (date, _) = Date::of(first_year, hour);
            let year = ticks.is_empty().then(|| date.year.to_string());
            ticks.push((hour, format!("{} {}", date.day, date.month_name()), year));
            hour = hour.saturating_add(24 * days);
        }
        return ticks;
    }
    let months = (frame.hours / 730.0 / 24.0).ceil().max(1.0) as u32;
    let (mut hour, mut seen) = (frame.first.next_multiple_of(24), 0);
    while hour <= last {
        let (date, _) = Date::of(first_year, hour);
        if date.day == 1 {
            if seen % months == 0 {
                let year = (date.month == 1 || ticks.is_empty()).then(|| date.year.to_string());
                ticks.push((hour, date.month_name().into(), year));
            }
            seen += 1;
        }
        hour = hour.saturating_add(24);
    }
    ticks
}

fn time_axis(out: &mut String, frame: &Frame, first_year: i32, bottom: f64) {
    for (hour, text, year) in ticks(frame, first_year) {
        let x = frame.x(hour);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            x + 2.0,
            bottom + 13.0
        );
        if let Some(year) = year {
            let _ =
                writeln!(out, "<text class=\"strong\" x=\"{:.1}\" y=\"{:.1}\">{year}</text>", x + 2.0, bottom + 29.0);
        }
    }
}

/// The marks of one kind; those that fall together are one, with how many they are.
fn lane<'m>(
    out: &mut String,
    frame: &Frame,
    first_year: i32,
    marks: impl Iterator<Item = &'m Mark>,
    class: &str,
    name: &str,
    y: f64,
) {
    let mut columns: Vec<(usize, Vec<&Mark>)> = Vec::new();
    for mark in marks {
        let column = (frame.share(mark.hour) * (COLUMNS - 2) as f64 / 2.0) as usize;
        match columns.iter_mut().find(|(known, _)| *known == column) {
            Some((_, together)) => together.push(mark),
            None => columns.push((column, vec![mark])),
        }
    }
    for (column, together) in columns {
        let x = LEFT + column as f64 * 2.0;
        let text = match together.as_slice() {
            [mark] if mark.note.is_empty() => moment(first_year, mark.hour),
            [mark] => format!("{}: {}", moment(first_year, mark.hour), mark.note),
            more => format!("{}: {} {name}", moment(first_year, more.first().map_or(0, |mark| mark.hour)), more.len()),
        };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"2\" height=\"{:.1}\"><title>{}</title></rect>",
            y + 1.0,
            LANE - 6.0,
            escape(&text)
        );
    }
}

fn legend(out: &mut String) {
    out.push_str(
        "<ul class=\"legend\">\n\
         <li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><path class=\"trace\" d=\"M0 7H18\"/></svg>within the limits</li>\n\
         <li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><path class=\"trace-outside\" d=\"M0 7H18\"/></svg>outside</li>\n\
         <li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect class=\"band\" width=\"18\" height=\"14\"/></svg>the limits</li>\n\
         <li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect class=\"excursion\" x=\"6\" width=\"6\" height=\"14\"/></svg>excursion</li>\n",
    );
    for (_, class, name) in LANES {
        let _ = writeln!(
            out,
            "<li><svg viewBox=\"0 0 18 14\" aria-hidden=\"true\"><rect class=\"{class}\" x=\"8\" width=\"3\" height=\"14\"/></svg>\
             {name}</li>"
        );
    }
    out.push_str("</ul>\n");
}

/// The excursions as a table, the longest first, as many as one may want to read.
fn excursions(out: &mut String, timeline: &Timeline) {
    if timeline.excursions.is_empty() {
        return;
    }
    let mut sorted = timeline.excursions.clone();
    sorted.sort_by_key(|(from, to)| (std::cmp::Reverse(to.saturating_sub(*from)), *from));
    out.push_str(
        "<details><summary>The longest excursions as a table</summary>\n<div class=\"scroll\"><table>\n<thead><tr>\
         <th scope=\"col\">Began</th><th scope=\"col\" class=\"number\">Hours</th>\
         <th scope=\"col\" class=\"number\">Extreme</th></tr></thead>\n<tbody>\n",
    );
    let middle = (i32::from(timeline.limits.0) + i32::from(timeline.limits.1)) / 2;
    for (from, to) in sorted.iter().take(50) {
        let start = timeline.readings.partition_point(|(hour, _)| hour < from);
        let inside = timeline.readings.iter().skip(start).take_while(|(hour, _)| hour < to);
        let extreme = inside.max_by_key(|(_, temperature)| (i32::from(*temperature) - middle).abs());
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            moment(timeline.first_year, *from),
            to.saturating_sub(*from),
            extreme.map_or("\u{2013}".into(), |(_, temperature)| celsius(*temperature))
        );
    }
    out.push_str("</tbody>\n</table></div></details>\n");
}
