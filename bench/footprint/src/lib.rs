//! What the measured programs share: the flash of the machine, the systems that are measured, and what is done with them.
#![no_std]

pub mod device;
pub mod flash;
#[cfg(feature = "peers")]
pub mod peers;
pub mod stored;
pub mod work;
