//! The flash of the machine with an asynchronous face that never waits, and what drives such futures.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, MultiwriteNorFlash, NorFlash, ReadNorFlash};

use crate::flash::Flash;

/// The asynchronous face.
pub(super) struct Waiting(pub(super) Flash);

/// What a future answers that never waits.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

impl ErrorType for Waiting {
    type Error = blocking::NorFlashErrorKind;
}

impl ReadNorFlash for Waiting {
    const READ_SIZE: usize = <Flash as blocking::ReadNorFlash>::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        blocking::ReadNorFlash::read(&mut self.0, offset, bytes)
    }

    fn capacity(&self) -> usize {
        blocking::ReadNorFlash::capacity(&self.0)
    }
}

impl NorFlash for Waiting {
    const WRITE_SIZE: usize = <Flash as blocking::NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <Flash as blocking::NorFlash>::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        blocking::NorFlash::erase(&mut self.0, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        blocking::NorFlash::write(&mut self.0, offset, bytes)
    }
}

impl MultiwriteNorFlash for Waiting {}
