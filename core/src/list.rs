//! Lists of a few things.

use heapless::Vec;

/// Takes one out, and those behind it move up; `None` if there is no such place: `Vec::remove` without a panic.
pub(crate) fn remove<T, const N: usize>(list: &mut Vec<T, N>, place: usize) -> Option<T> {
    let mut rest = list.get_mut(place..).filter(|rest| !rest.is_empty())?;
    while let Some((one, behind)) = rest.split_first_mut() {
        if let Some(next) = behind.first_mut() {
            core::mem::swap(one, next);
        }
        rest = behind;
    }
    list.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_moves_up_in_its_order() {
        let mut list: Vec<u8, 4> = [1, 2, 3, 4].into_iter().collect();
        assert_eq!((remove(&mut list, 1), remove(&mut list, 2), remove(&mut list, 2)), (Some(2), Some(4), None));
        assert_eq!(list.as_slice(), [1, 3]);
        assert_eq!((remove(&mut list, 0), remove(&mut list, 0)), (Some(1), Some(3)));
        assert_eq!(remove(&mut list, 0), None);
    }
}
