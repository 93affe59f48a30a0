//! Texts as they go into a page: escaped, numbers grouped, hours as dates.

/// A text with the characters that mean something to HTML replaced.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in a page.
            character if character.is_control() && !character.is_whitespace() => out.push('\u{FFFD}'),
            character => out.push(character),
        }
    }
    out
}

/// A number with its thousands set apart: `17,518`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A temperature in hundredths of a degree as text: `5.2 °C`.
pub(super) fn celsius(hundredths: i16) -> String {
    format!("{:.1} °C", f64::from(hundredths) / 100.0).replace('-', "\u{2212}")
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i32,
    /// 1 to 12.
    pub(super) month: u32,
    /// 1 to 31.
    pub(super) day: u32,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Date {
    /// The day on which this hour falls, and the hour of that day.
    pub(super) fn of(first_year: i32, hour: u32) -> (Self, u32) {
        let (mut year, mut day) = (first_year, hour / 24);
        while day >= days_in(year) {
            day -= days_in(year);
            year += 1;
        }
        let mut month = 1;
        while day >= days_in_month(year, month) {
            day -= days_in_month(year, month);
            month += 1;
        }
        (Self { year, month, day: day + 1 }, hour % 24)
    }

    /// `Jan` to `Dec`.
    pub(super) fn month_name(&self) -> &'static str {
        MONTHS[(self.month as usize - 1) % 12]
    }
}

/// An hour as a date: `14 Mar 2010, 03:00`.
pub(super) fn moment(first_year: i32, hour: u32) -> String {
    let (date, hour) = Date::of(first_year, hour);
    format!("{} {} {}, {hour:02}:00", date.day, date.month_name(), date.year)
}

fn leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i32) -> u32 {
    if leap(year) { 366 } else { 365 }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
