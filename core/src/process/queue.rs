//! Who is to be run next.

use heapless::Deque;

/// Members of a system waiting to be run, each at most once, so that there is room for all of them at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    order: Deque<u8, { Queue::MEMBERS as usize }>,
}

impl Queue {
    /// How many members a system can have.
    pub(crate) const MEMBERS: u8 = 8;

    /// Puts a member behind those that wait, unless it waits already.
    pub(crate) fn push(&mut self, member: u8) {
        if member < Self::MEMBERS && !self.order.iter().any(|waiting| *waiting == member) {
            let _ = self.order.push_back(member); // there is room for each of them once
        }
    }

    /// Puts every member of this set behind those that wait, in the order of their numbers.
    pub(crate) fn push_all(&mut self, set: u8) {
        for member in 0..Self::MEMBERS {
            if set & bit(member) != 0 {
                self.push(member);
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<u8> {
        self.order.pop_front()
    }

    pub(crate) fn front(&self) -> Option<u8> {
        self.order.front().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// The set that this member alone is in.
pub(crate) const fn bit(member: u8) -> u8 {
    match 1_u8.checked_shl(member as u32) {
        Some(bit) => bit,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_and_in_the_order_of_the_first_prompt() {
        let mut queue = Queue::default();
        queue.push(3);
        queue.push_all(0b1000_1001);
        queue.push(3);
        queue.push(8);
        assert_eq!(queue.len(), 3);
        assert_eq!(core::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [3, 0, 7]);
        for _ in 0..3 {
            queue.push_all(0xFF);
        }
        assert_eq!((queue.len(), queue.front()), (8, Some(0)));
    }
}
