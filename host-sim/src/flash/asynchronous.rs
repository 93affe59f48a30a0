//! The asynchronous face: every call is pending at least once, so that it can be dropped half way (F9).

use core::future::poll_fn;
use core::task::Poll;

use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use super::error::SimError;
use super::handle::SimFlash;

/// Pending once, and woken at once.
async fn pend() {
    let mut pended = false;
    poll_fn(move |context| {
        if pended {
            return Poll::Ready(());
        }
        pended = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Pending once before it reads.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> ReadNorFlash for SimFlash<WORD, READ, SECTOR> {
    const READ_SIZE: usize = READ;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        pend().await;
        self.chip.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().memory.len()
    }
}

/// Pending before each word and each sector, and once more after the last. A future that is dropped leaves what was
/// done until then: no word or sector, some of them, or all. To tear the word or sector itself, cut the power.
impl<const WORD: usize, const READ: usize, const SECTOR: usize> NorFlash for SimFlash<WORD, READ, SECTOR> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        pend().await;
        let (mut at, to) = self.chip.borrow_mut().begin_erase(from, to)?;
        while at < to {
            self.chip.borrow_mut().erase_sector(at)?;
            pend().await;
            at += SECTOR;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        pend().await;
        let at = self.chip.borrow_mut().begin_write(offset, bytes)?;
        for index in 0..bytes.len() / WORD {
            self.chip.borrow_mut().program(at, bytes, index, 1)?;
            pend().await;
        }
        Ok(())
    }
}
