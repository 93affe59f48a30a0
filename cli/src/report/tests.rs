use super::text::{Date, escape, grouped, moment};
use super::*;

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "br", "link"];

/// Checks that every element ends where it should, and answers how many there are. `<`, `>` and `&` stand nowhere
/// else.
fn elements(page: &str) -> usize {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a page says what it is");
    // A style sheet is text of its own.
    let (before, rest) = body.split_once("<style>").expect("a style sheet");
    let (style, after) = rest.split_once("</style>").expect("the end of the style sheet");
    assert!(!style.contains('<'));
    let (mut open, mut count) = (Vec::new(), 0);
    let body = [before, after].concat();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("no end of a tag: {part}"));
        assert!(!text.contains('>'), "{part}");
        for reference in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| reference.starts_with(known)), "{part}");
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{part}");
            continue;
        }
        count += 1;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0], "unclosed");
    count
}

fn sector(index: u32, sector_bytes: u32) -> Sector {
    let segment = |start, len, class| Segment { start, len, class };
    Sector {
        sequence: Some(u64::from(100 + index)),
        erases: 3 + index % 4,
        role: [Role::Kept, Role::Kept, Role::Oldest, Role::Head][index as usize % 4],
        segments: vec![
            segment(0, 64, Class::Header),
            segment(64, 200, Class::Event(1)),
            segment(264, 100, Class::Event(1)),
            segment(364, 50, Class::Event(2)),
            segment(414, 100, Class::Snapshot),
            segment(514, 16, Class::Tracker),
            segment(530, 70, Class::Torn),
            segment(600, sector_bytes - 600, Class::Free),
        ],
    }
}

fn report(sectors: u32, hours: u32) -> Report {
    let temperature = |hour: u32| (hour, 500 + (hour % 24) as i16 * 20 - if hour % 1000 < 8 { 400 } else { 0 });
    let mark = |hour, kind| Mark { hour, kind, note: "<b>\"note\" & more</b>".into() };
    Report {
        title: "Cold chain <script>alert(1)</script>".into(),
        subtitle: "Two years & 17,518 hours".into(),
        verdict: Verdict { passed: true, sentence: "Every event was 'there' once.".into() },
        parameters: vec![("seed".into(), "7".into()), ("chip".into(), "<W25Q>".into())],
        rows: vec![
            Row::new("Events", "17,813", "in the log").headline(),
            Row::new("Power cuts survived", "1,204", "each at a random instant"),
        ],
        flash: FlashMap {
            sector_bytes: 4096,
            sectors: (0..sectors).map(|index| sector(index, 4096)).collect(),
            kinds: vec![(1, "Shipment".into()), (2, "Sensor".into()), (3, "Alarm".into())],
        },
        timeline: Timeline {
            first_year: 2010,
            readings: (0..hours).map(temperature).collect(),
            limits: (200, 800),
            excursions: (0..hours / 1000).map(|n| (n * 1000, n * 1000 + 8)).collect(),
            marks: vec![
                mark(5, MarkKind::Alarm),
                mark(6, MarkKind::HandOver),
                mark(7, MarkKind::PowerCut),
                mark(7, MarkKind::PowerCut),
                mark(hours, MarkKind::Sync),
            ],
        },
    }
}

#[test]
fn a_page_is_well_formed_has_every_part_and_refers_to_nothing() {
    let page = render(&report(64, 17_518));
    assert!(elements(&page) > 300);
    for id in ["time", "flash", "wear", "numbers", "run"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 3);
    for reference in ["http:", "https:", "src=", "href=", "@import", "<script"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("verdict pass"));
    assert!(page.contains("64 sectors of 4,096 bytes, 38,400 of 262,144 bytes in use (15 %)."));
    assert!(page.contains("A sector was erased 3 to 6 times, 4.5 on average: a spread of 3."));
    assert!(page.contains("17,518 readings from 1 Jan 2010, 00:00 to 31 Dec 2011, 21:00"));
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn texts_from_outside_stay_texts() {
    let page = render(&report(1, 10));
    assert!(page.contains("Cold chain &lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&lt;W25Q&gt;"));
    assert!(!page.contains("<b>"));
    assert_eq!(escape("a<b>&\"'\u{7}\n"), "a&lt;b&gt;&amp;&quot;&#39;\u{FFFD}\n");
}

#[test]
fn nothing_little_and_a_lot_can_be_shown() {
    let empty = render(&Report::default());
    assert!(elements(&empty) > 10 && empty.contains("verdict fail"));
    assert!(empty.contains("There is no reading to show.") && empty.contains("There is no sector to show."));
    for (sectors, hours) in [(1, 1), (1, 2), (2, 30), (3, 0), (257, 800), (4096, 9_000)] {
        let page = render(&report(sectors, hours));
        elements(&page);
        assert!(!page.contains("NaN") && !page.contains("inf\""), "{sectors} sectors, {hours} hours");
    }
}

#[test]
fn sectors_of_no_bytes_and_segments_beyond_the_end_are_drawn_within_bounds() {
    let mut odd = report(1, 1);
    odd.flash.sector_bytes = 0;
    elements(&render(&odd));
    odd.flash.sector_bytes = 512;
    for segment in &mut odd.flash.sectors[0].segments {
        (segment.start, segment.len, segment.class) = (u32::MAX, u32::MAX, Class::Torn);
    }
    elements(&render(&odd));
}

#[test]
fn neighbours_of_one_class_are_one_bar() {
    let page = render(&report(1, 1));
    assert!(page.contains("bytes 64 to 364: events of Shipment, 2 records"));
    assert!(page.contains("bytes 530 to 600: torn by a power cut"));
}

#[test]
fn of_many_sectors_each_has_the_colour_of_what_takes_most_of_it() {
    let mut many = report(257, 1);
    let small = |n: u32| Segment { start: n * 10, len: 10, class: Class::Event(1) };
    let large = Segment { start: 1_000, len: 96, class: Class::Torn };
    for sector in &mut many.flash.sectors {
        sector.segments = (0..100).map(small).chain([large]).collect();
    }
    let page = render(&many);
    assert_eq!((page.matches("<rect class=\"c-kind0\" x=").count(), page.matches("c-torn\" x=").count()), (257, 0));
}

#[test]
fn marks_that_fall_together_are_counted() {
    let page = render(&report(1, 17_518));
    assert!(page.contains("1 Jan 2010, 07:00: 2 power cuts"));
    assert!(page.contains("1 Jan 2010, 05:00: &lt;b&gt;&quot;note&quot;"));
}

#[test]
fn a_timeline_of_a_year_takes_one_stroke_a_column() {
    let page = render(&report(1, 17_518));
    let path = page.split("class=\"trace\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!((1_000..=1_100).contains(&path.matches('V').count()), "{}", path.matches('V').count());
}

#[test]
fn hours_become_dates_and_numbers_are_grouped() {
    assert_eq!(moment(2010, 1_731), "14 Mar 2010, 03:00");
    assert_eq!(moment(2010, 8_760), "1 Jan 2011, 00:00");
    assert_eq!(Date::of(2012, 59 * 24).0, Date { year: 2012, month: 2, day: 29 });
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
