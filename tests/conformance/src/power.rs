//! Power cuts, where the record manager's storage can be cut off.

use evenkeel_core::Position;

use crate::{PowerCuts, SCRATCH, append, item, mounted, read, stream};

/// Given power is lost after k operations of storing `[S@2, S@3]`, for every k, when mounted again, then S lists either
/// version 1 or versions 1, 2, 3, and the next append succeeds.
pub fn case_11_a_batch_cut_off_is_there_whole_or_not_at_all<H: PowerCuts>(make: impl Fn() -> H) {
    let all = [item(7, 1, "first"), item(7, 2, [0xA5; 21]), item(7, 3, "third")];
    let (mut none, mut whole) = (0, 0);
    for after in 0_u64.. {
        assert!(after < 10_000, "the append is never done");
        let mut home = make();
        let mut scratch = [0; SCRATCH];
        let mut log = mounted(&mut home, &mut scratch);
        append(&mut log, &all[..1]).unwrap();
        home.cut_after(after);
        let appended = append(&mut log, &all[1..]);
        drop(log);
        let cut = home.power_on();
        assert_eq!(appended.is_err(), cut, "power cut after {after}: {appended:?}");

        let mut log = mounted(&mut home, &mut scratch);
        let found = stream(&mut log, 7);
        match found.len() {
            1 => none += 1,
            3 => whole += 1,
            _ => panic!("after {after} operations a part of the batch is there: {found:?}"),
        }
        assert_eq!(found, all[..found.len()]);
        assert!(appended.is_err() || found.len() == 3, "after {after} operations what was acknowledged is lost");
        let listed: Vec<_> = read(&mut log, Position::START).unwrap().into_iter().map(|(_, item)| item).collect();
        assert_eq!(listed, found, "stream and notification log differ after {after} operations");

        let version = found.len() as u32 + 1;
        let next = append(&mut log, &[item(7, version, "next")]).unwrap();
        assert_eq!(next.first, Position(u64::from(version)));
        assert_eq!(stream(&mut log, 7).last(), Some(&item(7, version, "next")));
        if !cut {
            break;
        }
    }
    assert!(none > 0 && whole > 0, "no cut was come to before and after the batch counts: {none} and {whole}");
}
