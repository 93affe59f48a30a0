//! What the measured programs share: the flash of the machine.
#![no_std]

pub mod flash;
